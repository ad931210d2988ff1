//! Whether the registry of an image can be reached: its name is found, and it takes connections.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use moil_container::image_name::{HubMirror, ImageName};
use moil_kubernetes::doctor::Check;

const TITLE: &str = "registry";

/// How long it may take to accept a connection.
const CONNECTING: Duration = Duration::from_secs(10);

/// Tries it. `mirror` is the URL of a mirror of Docker Hub.
pub(super) fn look(image: &str, mirror: Option<&str>) -> Check {
    let name = match ImageName::parse(image) {
        Ok(name) => name,
        Err(error) => return Check::failed(TITLE, error.to_string(), "correct --image"),
    };
    let (host, port) = address(&name, mirror.and_then(HubMirror::parse).as_ref());
    let addresses = match (host.as_str(), port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => {
            return Check::failed(
                TITLE,
                format!("the name {host} is not found: {error}"),
                "check DNS there (dnsPolicy and dnsConfig by --kubernetesPodTemplate), and the name; a mirror of Docker Hub is named \
                 with SINGULARITY_DOCKER_HUB_MIRROR",
            );
        }
    };
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECTING) {
            Ok(_) => return Check::ok(TITLE, format!("{host} is reached at {address}")),
            Err(error) => last = Some(format!("{address}: {error}")),
        }
    }
    Check::failed(
        TITLE,
        format!("{host} is not reached: {}", last.unwrap_or_else(|| "it has no address".to_owned())),
        "check network policies, firewalls and proxies; images that are there already need no registry",
    )
}

/// Host and port of what serves an image.
fn address(name: &ImageName, mirror: Option<&HubMirror>) -> (String, u16) {
    let registry = name.registry();
    let (place, port) = match (registry, mirror) {
        ("docker.io", Some(mirror)) => {
            let host = mirror.host.split('/').next().unwrap_or(&mirror.host);
            (host, if mirror.plain { 80 } else { 443 })
        }
        ("docker.io", None) => ("registry-1.docker.io", 443),
        (registry, _) => (registry, 443),
    };
    match place.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) => (host.trim_matches(['[', ']']).to_owned(), port),
        None => (place.to_owned(), port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moil_kubernetes::doctor::Verdict;

    #[test]
    fn it_is_known_who_serves_an_image() {
        let mirror = HubMirror::parse("http://mirror.example.org:5000/hub");
        for (image, mirror, host, port) in [
            ("debian:12", None, "registry-1.docker.io", 443),
            ("docker.io/library/debian", None, "registry-1.docker.io", 443),
            ("debian:12", mirror.as_ref(), "mirror.example.org", 5000),
            ("quay.io/biocontainers/bwa:0.7", mirror.as_ref(), "quay.io", 443),
            ("localhost:5000/x@sha256:ab", None, "localhost", 5000),
            ("[::1]:5000/x", None, "::1", 5000),
        ] {
            let name = ImageName::parse(image).expect("a name");
            assert_eq!(address(&name, mirror), (host.to_owned(), port), "{image}");
        }
    }

    #[test]
    fn a_registry_that_takes_connections_is_reached() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let place = format!("{}/x:1", listener.local_addr().expect("an address"));
        assert_eq!(look(&place, None).verdict, Verdict::Ok);
        drop(listener);
        let found = look(&place, None);
        assert_eq!(found.verdict, Verdict::Failed);
        assert!(found.found.contains("127.0.0.1 is not reached"), "{found:?}");
        let found = look("no.such.host.invalid/x", None);
        assert!(found.found.contains("the name no.such.host.invalid is not found"), "{found:?}");
    }
}
