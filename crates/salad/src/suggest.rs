//! "Did you mean …?"

/// The candidate that is most like a word, if any is like it at all; else the only one that begins with it.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let near = candidates
        .iter()
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance);
    let longer = || {
        let mut longer = candidates.iter().filter(|candidate| word.len() > 2 && candidate.starts_with(word));
        longer.next().filter(|_| longer.next().is_none()).copied()
    };
    near.map(|(_, candidate)| candidate).or_else(longer)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_recognised() {
        let fields = ["inputs", "outputs", "baseCommand", "class"];
        assert_eq!(nearest("ouputs", fields), Some("outputs"));
        assert_eq!(nearest("basecommand", fields), Some("baseCommand"));
        assert_eq!(nearest("clsas", fields), Some("class"));
        assert_eq!(nearest("base", fields), Some("baseCommand"));
        assert_eq!(nearest("hello", fields), None);
    }
}
