//! "Did you mean …?"

/// The candidate nearest to `word`, if it is near enough to be a slip: upper and lower case,
/// hyphens and underscores count for nothing; else at most a third of the letters may differ.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| -> Vec<char> {
        text.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).take(64).collect()
    };
    let word = plain(word);
    let limit = word.len().div_ceil(3).min(4);
    candidates
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance == 0 || *distance < limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be inserted, deleted, replaced or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = last;
        last = row;
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let candidates = ["--outdir", "--tmp-outdir-prefix", "--jobStore", "--disableCaching"];
        let check = |word: &str, expected: Option<&str>| {
            assert_eq!(nearest(word, candidates.into_iter()), expected, "{word}");
        };
        check("--oudtir", Some("--outdir"));
        check("--out-dir", Some("--outdir"));
        check("--jobstor", Some("--jobStore"));
        check("--job-store", Some("--jobStore"));
        check("--disable-caching", Some("--disableCaching"));
        check("--reads", None);
        check("--x", None);
        check("", None);
    }
}
