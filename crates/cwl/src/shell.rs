//! Words of a command line as the operating system takes them.

use std::borrow::Cow;

use crate::command_line::Word;

/// A word quoted for a POSIX shell, exactly as Python's `shlex.quote` does.
pub fn quote(word: &str) -> Cow<'_, str> {
    if word.is_empty() {
        return Cow::Borrowed("''");
    }
    if word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte)) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', "'\"'\"'")))
}

/// The argument vector: the words themselves, or one line for `/bin/sh` where `shell`
/// (ShellCommandRequirement) is in force. Only then does [`Word::quote`] mean something
/// (CWL v1.2 CommandLineTool §"ShellCommandRequirement").
pub fn argv(words: Vec<Word>, shell: bool) -> Vec<String> {
    if !shell {
        return words.into_iter().map(|word| word.text).collect();
    }
    let mut line = String::new();
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            line.push(' ');
        }
        line.push_str(&if word.quote { quote(&word.text) } else { Cow::Borrowed(word.text.as_str()) });
    }
    vec!["/bin/sh".to_owned(), "-c".to_owned(), line]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_like_python() {
        for (word, quoted) in [
            ("", "''"),
            ("abc", "abc"),
            ("a-b_c.d/e:f,g=h+i%j@k", "a-b_c.d/e:f,g=h+i%j@k"),
            ("a b", "'a b'"),
            ("it's", "'it'\"'\"'s'"),
            ("$x", "'$x'"),
            ("~", "'~'"),
            ("é", "'é'"),
            ("a\nb", "'a\nb'"),
        ] {
            assert_eq!(quote(word), quoted);
        }
    }

    fn words() -> Vec<Word> {
        [("echo", true), ("a b", true), ("&&", false), ("", true)]
            .map(|(text, quote)| Word { text: text.into(), quote })
            .into()
    }

    #[test]
    fn without_a_shell_quoting_is_inert() {
        assert_eq!(argv(words(), false), ["echo", "a b", "&&", ""]);
    }

    #[test]
    fn with_a_shell_words_are_quoted_unless_they_say_not() {
        assert_eq!(argv(words(), true), ["/bin/sh", "-c", "echo 'a b' && ''"]);
    }

    #[test]
    fn no_words_are_an_empty_line() {
        assert_eq!(argv(Vec::new(), true), ["/bin/sh", "-c", ""]);
    }
}
