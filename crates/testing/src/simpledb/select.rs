//! The language of queries, as far as our client and Toil use it:
//! ``select *|itemName()|NAME[,NAME] from `DOMAIN` [where TEST [and TEST]] [order by NAME [asc|desc]] [limit N]``.

use std::collections::BTreeMap;

use super::{Attributes, Failure};

/// How many items one page has at most, and how many without `limit`.
const LARGEST_PAGE: usize = 2500;
const USUAL_PAGE: usize = 100;

/// About how many bytes one page has at most.
const PAGE_BYTES: usize = 1 << 20;

/// How many comparisons a query may have.
const MOST_TESTS: usize = 20;

pub(super) struct Query {
    /// The attributes to show; `None` for all.
    output: Option<Vec<String>>,
    pub(super) domain: String,
    tests: Vec<Test>,
    descending: bool,
    limit: usize,
}

struct Test {
    /// `itemName()` or an attribute.
    subject: String,
    operator: String,
    value: String,
}

impl Query {
    pub(super) fn shows(&self, attribute: &str) -> bool {
        self.output.as_ref().is_none_or(|names| names.iter().any(|name| name == attribute))
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Name(String),
    Quoted(String),
    Sign(String),
}

pub(super) fn parse(text: &str) -> Result<Query, Failure> {
    let invalid = |what: &str| (400, "InvalidQueryExpression", format!("{what}: {text}"));
    let mut words = words(text).ok_or_else(|| invalid("a quote without its end"))?.into_iter().peekable();
    let keyword = |words: &mut std::iter::Peekable<std::vec::IntoIter<Word>>, wanted: &str| {
        words.next_if(|word| matches!(word, Word::Name(name) if name.eq_ignore_ascii_case(wanted))).is_some()
    };
    let mut query = Query {
        output: Some(Vec::new()),
        domain: String::new(),
        tests: Vec::new(),
        descending: false,
        limit: USUAL_PAGE,
    };
    if !keyword(&mut words, "select") {
        return Err(invalid("no select"));
    }
    while !keyword(&mut words, "from") {
        match words.next() {
            Some(Word::Sign(sign)) if sign == "*" => query.output = None,
            Some(Word::Sign(sign)) if sign == "," => {}
            Some(Word::Name(name)) => query.output.get_or_insert_default().push(name),
            _ => return Err(invalid("no from")),
        }
    }
    let Some(Word::Name(domain)) = words.next() else { return Err(invalid("no domain")) };
    query.domain = domain;
    if keyword(&mut words, "where") {
        loop {
            let (Some(Word::Name(subject)), Some(operator), Some(Word::Quoted(value))) =
                (words.next(), words.next(), words.next())
            else {
                return Err(invalid("a test that is not understood"));
            };
            let operator = match operator {
                Word::Name(name) => name.to_lowercase(),
                Word::Sign(sign) => sign,
                Word::Quoted(_) => return Err(invalid("no operator")),
            };
            if !["=", "!=", "<", "<=", ">", ">=", "like"].contains(&operator.as_str()) {
                return Err(invalid("an operator that is not understood"));
            }
            query.tests.push(Test { subject, operator, value });
            if !keyword(&mut words, "and") {
                break;
            }
        }
    }
    if query.tests.len() > MOST_TESTS {
        return Err((400, "InvalidNumberPredicates", format!("more than {MOST_TESTS} comparisons")));
    }
    if keyword(&mut words, "order") {
        let by = keyword(&mut words, "by");
        let sorted = words.next();
        if !by || sorted != Some(Word::Name("itemName()".to_owned())) {
            return Err(invalid("only order by itemName() is understood"));
        }
        if !query.tests.iter().any(|test| test.subject == "itemName()") {
            return Err((400, "InvalidSortExpression", "the sort attribute must be in a test".to_owned()));
        }
        query.descending = keyword(&mut words, "desc");
        keyword(&mut words, "asc");
    }
    if keyword(&mut words, "limit") {
        let Some(Word::Name(limit)) = words.next() else { return Err(invalid("no number after limit")) };
        query.limit = limit.parse().map_err(|_| invalid("no number after limit"))?;
        if !(1..=LARGEST_PAGE).contains(&query.limit) {
            return Err(invalid("limit is from 1 to 2500"));
        }
    }
    match words.next() {
        None => Ok(query),
        Some(word) => Err(invalid(&format!("{word:?} is not understood"))),
    }
}

fn words(text: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        match first {
            '\'' | '"' | '`' => {
                let (quoted, after) = quoted(rest, first)?;
                words.push(if first == '`' { Word::Name(quoted) } else { Word::Quoted(quoted) });
                rest = after;
            }
            '=' | '!' | '<' | '>' | '*' | ',' => {
                let length = if rest[1..].starts_with('=') && first != '=' { 2 } else { 1 };
                words.push(Word::Sign(rest[..length].to_owned()));
                rest = &rest[length..];
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || "'\"`=!<>*,".contains(c);
                let end = rest.find(ends).unwrap_or(rest.len());
                words.push(Word::Name(rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
        rest = rest.trim_start();
    }
    Some(words)
}

/// What stands between quotes, where a doubled quote is a quote, and what comes after.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut rest = &text[1..];
    let mut inside = String::new();
    loop {
        let (before, after) = rest.split_once(quote)?;
        inside.push_str(before);
        match after.strip_prefix(quote) {
            Some(more) => {
                inside.push(quote);
                rest = more;
            }
            None => return Some((inside, after)),
        }
    }
}

/// The next page of what a query finds, and whether there is more.
pub(super) fn run(
    query: &Query,
    items: &BTreeMap<String, Attributes>,
    token: Option<&str>,
) -> Result<(Vec<(String, Attributes)>, bool), Failure> {
    let mut names: Vec<&String> = items.keys().collect();
    if query.descending {
        names.reverse();
    }
    let is_after =
        |name: &str| token.is_none_or(|token| if query.descending { name < token } else { name > token });
    let mut found: Vec<(String, Attributes)> = Vec::new();
    let mut bytes = 0;
    for name in names.into_iter().filter(|name| is_after(name)) {
        let item = &items[name];
        if !query.tests.iter().all(|test| holds(test, name, item)) {
            continue;
        }
        let shown = item.iter().filter(|(attribute, _)| query.shows(attribute));
        let size = shown.flat_map(|(_, values)| values).map(String::len).sum::<usize>() + name.len();
        if found.len() == query.limit || (!found.is_empty() && bytes + size > PAGE_BYTES) {
            return Ok((found, true));
        }
        bytes += size;
        found.push((name.clone(), item.clone()));
    }
    Ok((found, false))
}

fn holds(test: &Test, name: &str, item: &Attributes) -> bool {
    let compare = |value: &str| match test.operator.as_str() {
        "=" => value == test.value,
        "!=" => value != test.value,
        "<" => value < test.value.as_str(),
        "<=" => value <= test.value.as_str(),
        ">" => value > test.value.as_str(),
        ">=" => value >= test.value.as_str(),
        _ => like(value, &test.value),
    };
    if test.subject == "itemName()" {
        return compare(name);
    }
    item.get(&test.subject).is_some_and(|values| values.iter().any(|value| compare(value)))
}

/// Whether a value fits a pattern, where `%` at either end stands for anything.
fn like(value: &str, pattern: &str) -> bool {
    match (pattern.strip_prefix('%'), pattern.strip_suffix('%')) {
        (Some(_), Some(_)) if pattern.len() >= 2 => value.contains(&pattern[1..pattern.len() - 1]),
        (Some(end), None) => value.ends_with(end),
        (None, Some(start)) => value.starts_with(start),
        (Some(_), Some(_)) => true,
        (None, None) => value == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(text: &str) -> Result<(Vec<String>, bool), Failure> {
        let item = |kind: &str| Attributes::from([("kind".to_owned(), [kind.to_owned()].into())]);
        let items = BTreeMap::from([
            ("a/1".to_owned(), item("x")),
            ("a/2".to_owned(), item("y")),
            ("b/it's".to_owned(), item("x")),
        ]);
        let query = parse(text)?;
        assert_eq!(query.domain, "my-domain");
        let (found, more) = run(&query, &items, None)?;
        Ok((found.into_iter().map(|(name, _)| name).collect(), more))
    }

    #[test]
    fn queries_find_items() {
        for (rest, expected) in [
            ("", "a/1 a/2 b/it's"),
            (" where kind='x'", "a/1 b/it's"),
            (" where kind != 'x'", "a/2"),
            (" where itemName() like 'a/%' and itemName() > 'a/1'", "a/2"),
            (" where itemName() = 'b/it''s'", "b/it's"),
            (" WHERE itemName() > '' ORDER BY itemName() desc", "b/it's a/2 a/1"),
            (" where itemName() > '' order by itemName() limit 2", "a/1 a/2 …"),
        ] {
            let (mut names, more) = select(&format!("select * from `my-domain`{rest}")).unwrap();
            if more {
                names.push("…".to_owned());
            }
            assert_eq!(names.join(" "), expected, "{rest}");
        }
    }

    #[test]
    fn queries_that_are_not_understood_are_refused() {
        for text in [
            "select",
            "select * from `my-domain` where",
            "select * from `my-domain` where kind between 'a' and 'b'",
            "select * from `my-domain` where kind='x",
            "select * from `my-domain` order by itemName()",
            "select * from `my-domain` limit 2501",
            "select * from `my-domain` nonsense",
        ] {
            assert!(select(text).is_err(), "{text}");
        }
    }
}
