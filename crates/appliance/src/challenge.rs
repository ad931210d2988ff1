//! What a registry asks for: the header `WWW-Authenticate`.

/// How one shows who one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// With user and password in each request.
    Basic,
    /// With a token that another service gives.
    Bearer {
        /// The URL of that service.
        realm: String,
        /// For whom the token is.
        service: Option<String>,
        /// What it allows.
        scope: Option<String>,
    },
}

/// Reads the header; `None` where it asks for something else.
pub fn parse(header: &str) -> Option<Challenge> {
    let (scheme, mut rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service, mut scope) = (None, None, None);
    while let Some((key, value)) = rest.split_once('=') {
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find(',').unwrap_or(value.len())),
        };
        let value = Some(value.to_owned());
        match key.trim_matches([' ', ',']) {
            "realm" => realm = value,
            "service" => service = value,
            "scope" => scope = value,
            _ => {}
        }
        rest = after;
    }
    Some(Challenge::Bearer { realm: realm?, service, scope })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_understood() {
        assert_eq!(parse("Basic realm=\"Registry Realm\""), Some(Challenge::Basic));
        let header = r#"Bearer realm="https://auth.example/token",service="registry",scope="repository:me/moil:pull,push""#;
        assert_eq!(
            parse(header),
            Some(Challenge::Bearer {
                realm: "https://auth.example/token".to_owned(),
                service: Some("registry".to_owned()),
                scope: Some("repository:me/moil:pull,push".to_owned()),
            })
        );
        let bare = parse("bearer service=x, realm=http://y");
        let expected =
            Challenge::Bearer { realm: "http://y".to_owned(), service: Some("x".to_owned()), scope: None };
        assert_eq!(bare, Some(expected));
        assert_eq!(parse("Negotiate"), None);
        assert_eq!(parse("Bearer service=\"x\""), None);
    }
}
