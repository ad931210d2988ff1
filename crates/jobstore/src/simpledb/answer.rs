//! What the service says, read from XML.

use quick_xml::Reader;
use quick_xml::events::Event;

/// The parts of an answer that are of interest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Names of items (of a selection).
    pub(super) items: Vec<String>,
    /// Names and values of attributes.
    pub(super) attributes: Vec<(String, String)>,
    /// Names of domains.
    pub(super) domains: Vec<String>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
    /// An error's code.
    pub(super) code: String,
    /// An error's message.
    pub(super) message: String,
}

/// Reads an answer; what is not XML is an error in the parser's words.
pub(super) fn read(text: &str) -> Result<Answer, String> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut answer = Answer::default();
    let mut path: Vec<String> = Vec::new();
    let mut content = String::new();
    let mut attribute = String::new();
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(tag) => {
                path.push(String::from_utf8_lossy(tag.local_name().as_ref()).into_owned());
                content.clear();
            }
            Event::Text(part) => content.push_str(&part.unescape().map_err(|error| error.to_string())?),
            Event::CData(part) => content.push_str(&String::from_utf8_lossy(&part)),
            Event::End(_) => {
                let text = std::mem::take(&mut content);
                let parent = path.len().checked_sub(2).map(|at| path[at].as_str()).unwrap_or_default();
                match (parent, path.last().map(String::as_str).unwrap_or_default()) {
                    ("Attribute", "Name") => attribute = text,
                    ("Attribute", "Value") => answer.attributes.push((std::mem::take(&mut attribute), text)),
                    ("Item", "Name") => answer.items.push(text),
                    (_, "DomainName") => answer.domains.push(text),
                    (_, "NextToken") => answer.next = Some(text),
                    ("Error", "Code") => answer.code = text,
                    ("Error", "Message") => answer.message = text,
                    _ => {}
                }
                path.pop();
            }
            Event::Eof if path.is_empty() => return Ok(answer),
            Event::Eof => return Err("the answer breaks off".to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let text = "<?xml version=\"1.0\"?>\n<SelectResponse xmlns=\"http://sdb.amazonaws.com/doc/2009-04-15/\">\
             <SelectResult><Item><Name>a&amp;b</Name><Attribute><Name>n</Name><Value>1 &lt; 2</Value></Attribute>\
             <Attribute><Name>e</Name><Value/></Attribute><Attribute><Name>f</Name><Value></Value></Attribute></Item>\
             <NextToken>t</NextToken></SelectResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>\
             </SelectResponse>";
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let answer = read(text).unwrap();
        assert_eq!(answer.items, ["a&b"]);
        assert_eq!(answer.attributes, [pair("n", "1 < 2"), pair("e", ""), pair("f", "")]);
        assert_eq!(answer.next.as_deref(), Some("t"));
        let text = "<Response><Errors><Error><Code>NoSuchDomain</Code><Message>m</Message></Error></Errors></Response>";
        let answer = read(text).unwrap();
        assert_eq!((answer.code.as_str(), answer.message.as_str()), ("NoSuchDomain", "m"));
        assert!(read("<Response><Errors>").is_err());
        assert!(read("<html></body>").is_err());
    }
}
