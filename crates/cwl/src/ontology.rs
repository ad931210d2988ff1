//! Ontologies of file formats: which format is a kind of which other (CWL v1.2 §"Format").

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use moil_salad::fetch::Fetch;
use oxrdf::{NamedOrBlankNode, Term, Triple};
use oxrdfxml::RdfXmlParser;
use oxttl::TurtleParser;

const SUB_CLASS_OF: &str = "http://www.w3.org/2000/01/rdf-schema#subClassOf";
const EQUIVALENT_CLASS: &str = "http://www.w3.org/2002/07/owl#equivalentClass";

/// The relations between formats; all else that ontologies say is dropped while they are read.
#[derive(Clone, Debug, Default)]
pub struct Ontology {
    /// A format to those that it is a kind of or equal to.
    wider: HashMap<String, Vec<String>>,
}

impl Ontology {
    /// Whether files of `format` are welcome where `wanted` is: it is the same format, a subclass, or
    /// equivalent, over any number of steps.
    pub fn is_a(&self, format: &str, wanted: &str) -> bool {
        let mut seen = HashSet::from([format]);
        let mut open = vec![format];
        while let Some(next) = open.pop() {
            if next == wanted {
                return true;
            }
            open.extend(
                self.wider.get(next).into_iter().flatten().map(String::as_str).filter(|w| seen.insert(w)),
            );
        }
        false
    }

    fn add(&mut self, triple: Triple) {
        let (NamedOrBlankNode::NamedNode(subject), Term::NamedNode(object)) = (triple.subject, triple.object)
        else {
            return;
        };
        let (subject, object) = (subject.into_string(), object.into_string());
        match triple.predicate.as_str() {
            SUB_CLASS_OF => self.wider.entry(subject).or_default().push(object),
            EQUIVALENT_CLASS => {
                self.wider.entry(object.clone()).or_default().push(subject.clone());
                self.wider.entry(subject).or_default().push(object);
            }
            _ => {}
        }
    }
}

/// Reads ontologies, each with its URI: RDF/XML, or Turtle. What cannot be read is left out, and
/// there is a warning for it; what was read before the fault counts.
pub fn parse(texts: &[(String, String)]) -> (Ontology, Vec<String>) {
    let mut ontology = Ontology::default();
    let mut warnings = Vec::new();
    for (uri, text) in texts {
        let [first, second]: [Reader; 2] =
            if is_xml(text) { [read_xml, read_turtle] } else { [read_turtle, read_xml] };
        let before = ontology.wider.len();
        let outcome = first(uri, text, &mut ontology).or_else(|reason| {
            // The guess may have been wrong, if nothing came of it.
            let guessed = ontology.wider.len() > before;
            if guessed { Err(reason) } else { second(uri, text, &mut ontology).map_err(|_| reason) }
        });
        if let Err(reason) = outcome {
            warnings.push(format!("cannot read all of the ontology {uri}: {reason}"));
        }
    }
    (ontology, warnings)
}

type Reader = fn(&str, &str, &mut Ontology) -> Result<(), String>;

/// RDF/XML begins with a declaration, a comment or an element; Turtle may begin with `<http://…>`,
/// which is none of these.
fn is_xml(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let Some(rest) = text.strip_prefix('<') else { return false };
    rest.starts_with(['?', '!'])
        || rest.split(['>', ' ', '\n', '\t', '\r']).next().is_some_and(|tag| {
            !tag.contains('/') && !tag.contains("://") && tag.starts_with(|c: char| c.is_ascii_alphabetic())
        })
}

fn read_xml(uri: &str, text: &str, ontology: &mut Ontology) -> Result<(), String> {
    // Lenient: real ontologies hold IRIs that break the rules, and only equality matters here.
    let parser = RdfXmlParser::new().lenient();
    let parser = parser.clone().with_base_iri(uri).unwrap_or(parser);
    for triple in parser.for_slice(text.as_bytes()) {
        ontology.add(triple.map_err(|error| error.to_string())?);
    }
    Ok(())
}

fn read_turtle(uri: &str, text: &str, ontology: &mut Ontology) -> Result<(), String> {
    let parser = TurtleParser::new().lenient();
    let parser = parser.clone().with_base_iri(uri).unwrap_or(parser);
    for triple in parser.for_slice(text.as_bytes()) {
        ontology.add(triple.map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// The ontologies of a document, fetched and read when first asked about a format that is not
/// plainly the wanted one: the usual one has megabytes, and most runs never need it.
#[derive(Debug, Default)]
pub struct LazyOntology {
    uris: Vec<String>,
    loaded: OnceLock<(Ontology, Vec<String>)>,
}

impl LazyOntology {
    /// For the `$schemas` of a document, as absolute URIs.
    pub fn new(uris: Vec<String>) -> Self {
        Self { uris, loaded: OnceLock::new() }
    }

    /// See [`Ontology::is_a`].
    pub fn is_a(&self, format: &str, wanted: &str, fetch: &dyn Fetch) -> bool {
        format == wanted || (!self.uris.is_empty() && self.load(fetch).0.is_a(format, wanted))
    }

    /// What could not be read; empty until something was.
    pub fn warnings(&self) -> &[String] {
        self.loaded.get().map_or(&[], |(_, warnings)| warnings)
    }

    fn load(&self, fetch: &dyn Fetch) -> &(Ontology, Vec<String>) {
        self.loaded.get_or_init(|| {
            let mut texts = Vec::new();
            let mut missing = Vec::new();
            for uri in &self.uris {
                match fetch.text(uri) {
                    Ok(text) => texts.push((uri.clone(), text)),
                    Err(reason) => missing.push(format!("cannot read the ontology {uri}: {reason}")),
                }
            }
            let (ontology, mut warnings) = parse(&texts);
            warnings.extend(missing);
            (ontology, warnings)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const XML: &str = r##"<?xml version="1.0"?>
<!DOCTYPE rdf:RDF [ <!ENTITY e "http://e.org/" > ]>
<rdf:RDF xmlns="http://e.org/" xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#"
     xmlns:owl="http://www.w3.org/2002/07/owl#" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <owl:Class rdf:about="http://e.org/fasta"><rdfs:subClassOf rdf:resource="http://e.org/sequence"/></owl:Class>
  <owl:Class rdf:about="&e;sequence">
    <rdfs:subClassOf rdf:resource="&e;text"/>
    <rdfs:subClassOf><owl:Restriction/></rdfs:subClassOf>
  </owl:Class>
  <owl:Class rdf:about="http://e.org/text"><rdfs:subClassOf rdf:resource="http://e.org/fasta"/></owl:Class>
</rdf:RDF>"##;
    const TURTLE: &str = "@prefix owl: <http://www.w3.org/2002/07/owl#> .\n\
        <http://gx.org/fasta> owl:equivalentClass <http://e.org/fasta> .\n";

    fn read(texts: &[&str]) -> (Ontology, Vec<String>) {
        let texts: Vec<_> =
            texts.iter().map(|text| ("http://x.org/o".to_owned(), (*text).to_owned())).collect();
        parse(&texts)
    }

    #[test]
    fn formats_are_related_over_several_steps_and_files() {
        let (ontology, warnings) = read(&[XML, TURTLE]);
        assert_eq!(warnings, [""; 0]);
        let cases = [
            ("http://e.org/fasta", "http://e.org/fasta", true),
            ("http://e.org/fasta", "http://e.org/text", true),
            ("http://gx.org/fasta", "http://e.org/text", true),
            ("http://e.org/fasta", "http://gx.org/fasta", true),
            ("http://e.org/sequence", "http://e.org/other", false),
            ("http://e.org/other", "http://e.org/text", false),
            ("http://e.org/other", "http://e.org/other", true),
        ];
        for (format, wanted, expected) in cases {
            assert_eq!(ontology.is_a(format, wanted), expected, "{format} {wanted}");
        }
    }

    #[test]
    fn a_subclass_is_not_its_superclass() {
        let (ontology, _) = read(&[
            "@prefix r: <http://www.w3.org/2000/01/rdf-schema#> . <http://a> r:subClassOf <http://b> .",
        ]);
        assert!(ontology.is_a("http://a", "http://b"));
        assert!(!ontology.is_a("http://b", "http://a"));
    }

    #[test]
    fn turtle_may_begin_like_xml() {
        let (ontology, warnings) = read(&["<e:a> <http://www.w3.org/2000/01/rdf-schema#subClassOf> <e:b> ."]);
        assert_eq!(warnings, [""; 0]);
        assert!(ontology.is_a("e:a", "e:b"));
    }

    #[test]
    fn broken_ontologies_only_warn() {
        let broken_end = TURTLE.to_owned() + "and then";
        for (text, related) in [
            ("<?xml version=\"1.0\"?><rdf:RDF", false),
            ("not turtle at all", false),
            (broken_end.as_str(), true),
        ] {
            let (ontology, warnings) = read(&[text]);
            assert_eq!(warnings.len(), 1, "{text}");
            assert_eq!(ontology.is_a("http://gx.org/fasta", "http://e.org/fasta"), related, "{text}");
        }
    }

    struct Counting(AtomicUsize);

    impl Fetch for Counting {
        fn text(&self, uri: &str) -> Result<String, String> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if uri.ends_with("ttl") { Ok(TURTLE.to_owned()) } else { Err("no such file".to_owned()) }
        }

        fn exists(&self, _: &str) -> bool {
            true
        }
    }

    #[test]
    fn an_ontology_is_read_once_and_only_if_needed() {
        let fetch = Counting(AtomicUsize::new(0));
        let lazy = LazyOntology::new(vec!["http://x/a.ttl".to_owned(), "http://x/b.owl".to_owned()]);
        assert!(lazy.is_a("http://x", "http://x", &fetch));
        assert_eq!(fetch.0.load(Ordering::Relaxed), 0);
        assert!(lazy.is_a("http://gx.org/fasta", "http://e.org/fasta", &fetch));
        assert!(!lazy.is_a("http://a", "http://e.org/fasta", &fetch));
        assert_eq!(fetch.0.load(Ordering::Relaxed), 2);
        assert_eq!(lazy.warnings(), ["cannot read the ontology http://x/b.owl: no such file"]);
    }
}
