//! Whether the registry of an image can be reached: its name is found, it takes connections, and it answers as registries do.

use std::net::{IpAddr, TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use moil_appliance::reach;
use moil_container::image_name::{HubMirror, ImageName};
use moil_kubernetes::doctor::Check;

use crate::environment::Environment;

const TITLE: &str = "registry";

/// How long it may take to accept a connection.
const CONNECTING: Duration = Duration::from_secs(10);

/// What is to be done if it is not reached.
const ADVICE: &str = "check network policies, firewalls and proxies (HTTPS_PROXY and NO_PROXY, which pods get with --setEnv); images that \
                      are there already need no registry";

/// Tries it, as what fetches images would: through the proxy that variables name. `certificates` are files with those that
/// are trusted.
pub(super) fn look(image: &str, environment: &Environment, certificates: &[PathBuf]) -> Check {
    let name = match ImageName::parse(image) {
        Ok(name) => name,
        Err(error) => return Check::failed(TITLE, error.to_string(), "correct --image"),
    };
    let mirror = environment.known("SINGULARITY_DOCKER_HUB_MIRROR").and_then(|url| url.to_str());
    let server = Server::of(&name, mirror.and_then(HubMirror::parse).as_ref());
    let variable = |name: &str| environment.get(name)?.to_str().map(str::to_owned);
    let proxy = proxy(&server, &variable);
    let reached = match &proxy {
        Some(proxy) => format!("through {}", without_user(proxy)),
        None => match connect(&server) {
            Ok(reached) => reached,
            Err(failed) => return *failed,
        },
    };
    let answer = reach::ask(&server.url(), proxy.as_deref(), certificates);
    let is_registry = |status: u16| matches!(status, 200 | 401);
    match answer {
        Ok(status) if is_registry(status) => {
            let host = &server.host;
            Check::ok(TITLE, format!("{host} is reached {reached}, and answers {}", words(status)))
        }
        Ok(status) => Check::failed(
            TITLE,
            format!(
                "{} is reached {reached}, but answers {status} where registries answer 200 or 401",
                server.host
            ),
            ADVICE,
        ),
        Err(reason) => {
            let plain = Server { plain: true, ..server.clone() };
            let speaks_http =
                !server.plain && reach::ask(&plain.url(), proxy.as_deref(), &[]).is_ok_and(is_registry);
            if speaks_http {
                let advice = "engines ask by https, unless their own configuration says otherwise; a mirror of Docker Hub may be \
                              SINGULARITY_DOCKER_HUB_MIRROR=http://…";
                let found = format!("{} is reached {reached}, and answers by http only", server.host);
                return Check { advice: Some(advice.to_owned()), ..Check::unknown(TITLE, found) };
            }
            let found = format!("{} is reached {reached}, but does not answer: {reason}", server.host);
            Check::failed(TITLE, found, ADVICE)
        }
    }
}

fn words(status: u16) -> &'static str {
    match status {
        401 => "401: it asks who one is, as registries do",
        _ => "200",
    }
}

/// Finds its name and connects. Says where it is.
fn connect(server: &Server) -> Result<String, Box<Check>> {
    let Server { host, port, .. } = server;
    let failed = |found: String, advice: &str| Err(Box::new(Check::failed(TITLE, found, advice)));
    let addresses = match (host.as_str(), *port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => {
            return failed(
                format!("the name {host} is not found: {error}"),
                "check DNS there (dnsPolicy and dnsConfig by --kubernetesPodTemplate), and the name; a mirror of Docker Hub is named \
                 with SINGULARITY_DOCKER_HUB_MIRROR, a proxy with HTTPS_PROXY",
            );
        }
    };
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECTING) {
            Ok(_) => return Ok(format!("at {address}")),
            Err(error) => last = Some(format!("{address}: {error}")),
        }
    }
    let last = last.unwrap_or_else(|| "it has no address".to_owned());
    failed(format!("{host} is not reached: {last}"), ADVICE)
}

/// What serves an image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    host: String,
    port: u16,
    /// Without TLS.
    plain: bool,
}

impl Server {
    fn of(name: &ImageName, mirror: Option<&HubMirror>) -> Self {
        let (place, plain) = match (name.registry(), mirror) {
            ("docker.io", Some(mirror)) => {
                (mirror.host.split('/').next().unwrap_or(&mirror.host), mirror.plain)
            }
            ("docker.io", None) => ("registry-1.docker.io", false),
            (registry, _) => (registry, false),
        };
        let (host, port) =
            match place.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
                Some((host, port)) => (host.trim_matches(['[', ']']), port),
                None => (place, if plain { 80 } else { 443 }),
            };
        Self { host: host.to_owned(), port, plain }
    }

    fn url(&self) -> String {
        let scheme = if self.plain { "http" } else { "https" };
        match self.host.contains(':') {
            true => format!("{scheme}://[{}]:{}", self.host, self.port),
            false => format!("{scheme}://{}:{}", self.host, self.port),
        }
    }
}

/// The proxy on the way to a server, as engines find it (Go's `ProxyFromEnvironment`).
fn proxy(server: &Server, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let either = |name: &str| {
        let names = [name.to_ascii_uppercase(), name.to_ascii_lowercase()];
        names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()))
    };
    let proxy = either(if server.plain { "http_proxy" } else { "https_proxy" })?;
    let address = server.host.parse::<IpAddr>().ok();
    let is_here = server.host == "localhost" || address.is_some_and(|address| address.is_loopback());
    let besides = either("no_proxy").unwrap_or_default();
    (!is_here && !besides.split(',').any(|word| is_meant(word.trim(), server, address))).then_some(proxy)
}

/// Whether a word of `NO_PROXY` is about a server: `*`, an address, a network, or a domain with all below it; `.domain` is
/// about what is below it alone.
fn is_meant(word: &str, server: &Server, address: Option<IpAddr>) -> bool {
    let port = format!(":{}", server.port);
    let word = word.strip_suffix(&port).unwrap_or(word).to_ascii_lowercase();
    let host = server.host.to_ascii_lowercase();
    if word.is_empty() || word == "*" {
        return word == "*";
    }
    if let Some(address) = address {
        return word.parse() == Ok(address) || is_in(&word, address);
    }
    let domain = word.trim_start_matches("*.").trim_start_matches('.');
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')) || (host == word && domain == word)
}

/// Whether an address is in a network, such as `10.0.0.0/8`.
fn is_in(network: &str, address: IpAddr) -> bool {
    let Some((network, bits)) = network.split_once('/') else { return false };
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let (Ok(network), Ok(bits)) = (network.parse(), bits.parse::<u32>()) else { return false };
    let ((network, most), (address, kind)) = (number(network), number(address));
    let rest = |number: u128| number.checked_shr(128 - bits.min(128)).unwrap_or(0);
    most == kind && bits <= most && rest(network) == rest(address)
}

/// A URL without who one is for the proxy.
fn without_user(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use moil_kubernetes::doctor::Verdict;

    use super::*;

    fn server(image: &str, mirror: Option<&HubMirror>) -> Server {
        Server::of(&ImageName::parse(image).expect("a name"), mirror)
    }

    #[test]
    fn it_is_known_who_serves_an_image() {
        let mirror = HubMirror::parse("http://mirror.example.org:5000/hub");
        for (image, mirror, url) in [
            ("debian:12", None, "https://registry-1.docker.io:443"),
            ("docker.io/library/debian", None, "https://registry-1.docker.io:443"),
            ("debian:12", mirror.as_ref(), "http://mirror.example.org:5000"),
            ("quay.io/biocontainers/bwa:0.7", mirror.as_ref(), "https://quay.io:443"),
            ("localhost:5000/x@sha256:ab", None, "https://localhost:5000"),
            ("[::1]:5000/x", None, "https://[::1]:5000"),
        ] {
            assert_eq!(server(image, mirror).url(), url, "{image}");
        }
    }

    #[test]
    fn proxies_are_found_as_engines_find_them() {
        let quay = "quay.io/x";
        for (variables, image, through) in [
            (&[][..], quay, None),
            (&[("HTTPS_PROXY", "http://p:1")], quay, Some("http://p:1")),
            (&[("https_proxy", "http://p:1")], quay, Some("http://p:1")),
            (&[("HTTP_PROXY", "http://p:1")], quay, None),
            (&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", "a.org, quay.io")], quay, None),
            (&[("HTTPS_PROXY", "p:1"), ("no_proxy", ".quay.io")], quay, Some("p:1")),
            (&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", "quay.io")], "cdn.quay.io/x", None),
            (&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", ".quay.io")], "cdn.quay.io/x", None),
            (&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", "uay.io,io.")], quay, Some("p:1")),
            (&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", "*")], quay, None),
            (&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", "10.0.0.0/8")], "10.88.0.1:5000/x", None),
            (&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", "10.0.0.0/16")], "10.88.0.1:5000/x", Some("p:1")),
            (&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", "10.88.0.1:5000")], "10.88.0.1:5000/x", None),
            (&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", "0.0.0.0/0,::/0")], quay, Some("p:1")),
            (&[("HTTPS_PROXY", "p:1")], "127.0.0.1:5000/x", None),
            (&[("HTTPS_PROXY", "p:1")], "localhost/x", None),
        ] {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(proxy(&server(image, None), &variable).as_deref(), through, "{variables:?} {image}");
        }
        assert_eq!(without_user("http://me:secret@p:1"), "http://p:1");
    }

    /// Answers each request with this status, and keeps the first lines.
    fn answering(status: &'static str) -> (String, std::sync::mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (sender, asked) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut lines = BufReader::new(&stream).lines();
                let Some(Ok(first)) = lines.next() else { continue };
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = (&stream).write_all(answer.as_bytes());
                let _ = sender.send(first);
            }
        });
        (address, asked)
    }

    fn looked(image: &str, variables: &[(&str, &str)]) -> (Verdict, String) {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let check = look(image, &Environment::new(variables), &[]);
        (check.verdict, check.found)
    }

    #[test]
    fn a_registry_is_what_answers_as_one() {
        for (status, verdict, words) in [
            ("200 OK", Verdict::Ok, "and answers 200"),
            ("401 Unauthorized", Verdict::Ok, "it asks who one is"),
            ("403 Forbidden", Verdict::Failed, "answers 403 where registries answer 200 or 401"),
            ("503 Unavailable", Verdict::Failed, "answers 503"),
        ] {
            let (address, asked) = answering(status);
            let mirror = format!("http://{address}");
            let (found, text) = looked("debian:12", &[("SINGULARITY_DOCKER_HUB_MIRROR", &mirror)]);
            assert!(found == verdict && text.contains(words), "{status}: {text}");
            assert_eq!(asked.recv().expect("it was asked"), "GET /v2/ HTTP/1.1");
        }
        let (address, _) = answering("401 Unauthorized");
        let (found, text) = looked(&format!("{address}/x:1"), &[]);
        assert!(found == Verdict::CannotTell && text.contains("answers by http only"), "{text}");
    }

    #[test]
    fn what_is_not_there_is_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let place = format!("{}/x:1", listener.local_addr().expect("an address"));
        drop(listener);
        let (found, text) = looked(&place, &[]);
        assert!(found == Verdict::Failed && text.contains("127.0.0.1 is not reached"), "{text}");
        let (_, text) = looked("no.such.host.invalid/x", &[]);
        assert!(text.contains("the name no.such.host.invalid is not found"), "{text}");
    }

    #[test]
    fn a_proxy_is_asked_for_what_lies_behind_it() {
        let (address, asked) = answering("403 Forbidden");
        let proxy = format!("http://me:secret@{address}");
        let (found, text) = looked("no.such.host.invalid/x", &[("HTTPS_PROXY", &proxy)]);
        assert!(found == Verdict::Failed && text.contains(&format!("through http://{address}")), "{text}");
        assert!(!text.contains("secret"), "{text}");
        assert!(asked.recv().expect("it was asked").starts_with("CONNECT no.such.host.invalid:443"));
    }
}
