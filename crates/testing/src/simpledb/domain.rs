//! The operations on domains and their items.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::request::{Attribute, Expected, Parameters, check_length};
use super::{Attributes, Failure, escape, select};

/// How many attributes an item, and one request about an item, may have.
const MOST_ATTRIBUTES: usize = 256;

/// How many items one batch may have.
const MOST_ITEMS: usize = 25;

/// How many domains there may be.
const MOST_DOMAINS: usize = 250;

type Items = BTreeMap<String, Attributes>;

#[derive(Default)]
struct Domain {
    items: Items,
    /// What the items of the latest write were before it.
    before: Vec<(String, Option<Attributes>)>,
}

impl Domain {
    fn read(&self, consistent: bool) -> Cow<'_, Items> {
        if consistent {
            return Cow::Borrowed(&self.items);
        }
        let mut items = self.items.clone();
        for (name, attributes) in &self.before {
            match attributes {
                Some(attributes) => items.insert(name.clone(), attributes.clone()),
                None => items.remove(name),
            };
        }
        Cow::Owned(items)
    }

    /// The items, for a write that changes these.
    fn write(&mut self, names: &[&str]) -> &mut Items {
        let before = |name: &&str| ((*name).to_owned(), self.items.get(*name).cloned());
        self.before = names.iter().map(before).collect();
        &mut self.items
    }
}

#[derive(Default)]
pub(super) struct Domains(BTreeMap<String, Domain>);

impl Domains {
    pub(super) fn items(&self, name: &str) -> Option<Items> {
        self.0.get(name).map(|domain| domain.items.clone())
    }

    /// Does what is asked, and gives the inner part of the answer.
    pub(super) fn act(&mut self, action: &str, parameters: &Parameters) -> Result<String, Failure> {
        match action {
            "CreateDomain" => self.create(parameters.needed("DomainName")?),
            "DeleteDomain" => {
                self.0.remove(parameters.needed("DomainName")?);
                Ok(String::new())
            }
            "ListDomains" => self.list(parameters),
            "DomainMetadata" => self.metadata(parameters),
            "GetAttributes" => self.get(parameters),
            "PutAttributes" => self.put(parameters),
            "DeleteAttributes" => self.delete(parameters),
            "BatchPutAttributes" => self.put_many(parameters),
            "BatchDeleteAttributes" => self.delete_many(parameters),
            "Select" => self.select(parameters),
            _ => Err((400, "InvalidAction", format!("{action} is no operation"))),
        }
    }

    fn domain(&mut self, parameters: &Parameters) -> Result<&mut Domain, Failure> {
        let name = parameters.needed("DomainName")?;
        self.0.get_mut(name).ok_or_else(no_such_domain)
    }

    fn create(&mut self, name: &str) -> Result<String, Failure> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(3..=255).contains(&name.len()) || !name.bytes().all(is_allowed) {
            return Err((400, "InvalidParameterValue", format!("{name} is no name for a domain")));
        }
        if self.0.len() >= MOST_DOMAINS && !self.0.contains_key(name) {
            return Err((409, "NumberDomainsExceeded", "The domain limit was exceeded".to_owned()));
        }
        self.0.entry(name.to_owned()).or_default();
        Ok(String::new())
    }

    fn list(&self, parameters: &Parameters) -> Result<String, Failure> {
        let page = parameters.get("MaxNumberOfDomains").and_then(|text| text.parse().ok()).unwrap_or(100);
        let after = parameters.get("NextToken").unwrap_or_default();
        let mut names = self.0.keys().filter(|name| name.as_str() > after);
        let shown: Vec<&String> = names.by_ref().take(page).collect();
        let tags: String = shown.iter().map(|name| format!("<DomainName>{name}</DomainName>")).collect();
        let token = next_token(shown.last().map(|name| name.as_str()).filter(|_| names.next().is_some()));
        Ok(format!("<ListDomainsResult>{tags}{token}</ListDomainsResult>"))
    }

    fn metadata(&mut self, parameters: &Parameters) -> Result<String, Failure> {
        let items = &self.domain(parameters)?.items;
        let values: usize = items.values().flat_map(|item| item.values()).map(|values| values.len()).sum();
        Ok(format!(
            "<DomainMetadataResult><ItemCount>{}</ItemCount><AttributeValueCount>{values}</AttributeValueCount>\
             </DomainMetadataResult>",
            items.len()
        ))
    }

    fn get(&mut self, parameters: &Parameters) -> Result<String, Failure> {
        let item = parameters.needed("ItemName")?;
        let wanted = parameters.list("AttributeName");
        let items = self.domain(parameters)?.read(parameters.is_true("ConsistentRead"));
        let nothing = Attributes::new();
        let attributes = items.get(item).unwrap_or(&nothing);
        let text = print(attributes, |name| wanted.is_empty() || wanted.contains(&name));
        Ok(format!("<GetAttributesResult>{text}</GetAttributesResult>"))
    }

    fn put(&mut self, parameters: &Parameters) -> Result<String, Failure> {
        let item = parameters.needed("ItemName")?;
        check_length("Item name", item)?;
        let attributes = parameters.attributes("")?;
        let expected = parameters.expected()?;
        let domain = self.domain(parameters)?;
        check(domain.items.get(item), expected.as_ref())?;
        let changed = with(domain.items.get(item), &attributes)?;
        domain.write(&[item]).insert(item.to_owned(), changed);
        Ok(String::new())
    }

    fn put_many(&mut self, parameters: &Parameters) -> Result<String, Failure> {
        let names = batch(parameters)?;
        let domain = self.domain(parameters)?;
        // All or none.
        let mut changed = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let attributes = parameters.attributes(&format!("Item.{}.", at + 1))?;
            changed.push(((*name).to_owned(), with(domain.items.get(*name), &attributes)?));
        }
        domain.write(&names).extend(changed);
        Ok(String::new())
    }

    fn delete(&mut self, parameters: &Parameters) -> Result<String, Failure> {
        let item = parameters.needed("ItemName")?;
        let attributes = parameters.attributes("")?;
        let expected = parameters.expected()?;
        let domain = self.domain(parameters)?;
        check(domain.items.get(item), expected.as_ref())?;
        without(domain.write(&[item]), item, &attributes);
        Ok(String::new())
    }

    fn delete_many(&mut self, parameters: &Parameters) -> Result<String, Failure> {
        let names = batch(parameters)?;
        let items = self.domain(parameters)?.write(&names);
        for (at, name) in names.into_iter().enumerate() {
            without(items, name, &parameters.attributes(&format!("Item.{}.", at + 1))?);
        }
        Ok(String::new())
    }

    fn select(&mut self, parameters: &Parameters) -> Result<String, Failure> {
        let query = select::parse(parameters.needed("SelectExpression")?)?;
        let domain = self.0.get(&query.domain).ok_or_else(no_such_domain)?;
        let items = domain.read(parameters.is_true("ConsistentRead"));
        let (found, more) = select::run(&query, &items, parameters.get("NextToken"))?;
        let tags: String = found
            .iter()
            .map(|(name, attributes)| {
                let text = print(attributes, |attribute| query.shows(attribute));
                format!("<Item><Name>{}</Name>{text}</Item>", escape(name))
            })
            .collect();
        let token = next_token(found.last().map(|(name, _)| name.as_str()).filter(|_| more));
        Ok(format!("<SelectResult>{tags}{token}</SelectResult>"))
    }
}

fn no_such_domain() -> Failure {
    (400, "NoSuchDomain", "The specified domain does not exist.".to_owned())
}

fn next_token(last: Option<&str>) -> String {
    last.map(|last| format!("<NextToken>{}</NextToken>", escape(last))).unwrap_or_default()
}

/// The names of a batch's items.
fn batch(parameters: &Parameters) -> Result<Vec<&str>, Failure> {
    let names: Vec<&str> = (1..).map_while(|at| parameters.get(&format!("Item.{at}.ItemName"))).collect();
    if names.is_empty() {
        return Err((400, "MissingParameter", "No items".to_owned()));
    }
    if names.len() > MOST_ITEMS {
        return Err((409, "NumberSubmittedItemsExceeded", format!("more than {MOST_ITEMS} items")));
    }
    for (at, name) in names.iter().enumerate() {
        check_length("Item name", name)?;
        if names[..at].contains(name) {
            return Err((400, "DuplicateItemName", format!("{name} was specified more than once")));
        }
    }
    Ok(names)
}

fn check(item: Option<&Attributes>, expected: Option<&Expected>) -> Result<(), Failure> {
    let Some(Expected { name, value }) = expected else { return Ok(()) };
    let present = item.and_then(|item| item.get(name));
    let failed =
        |text: &str| Err((409, "ConditionalCheckFailed", format!("Conditional check failed. {text}")));
    match (present, value) {
        (None, None) => Ok(()),
        (Some(_), None) => failed(&format!("Attribute ({name}) value exists")),
        (None, Some(_)) => Err((404, "AttributeDoesNotExist", format!("Attribute ({name}) does not exist"))),
        (Some(values), Some(_)) if values.len() > 1 => {
            Err((409, "MultiValuedAttribute", format!("Attribute ({name}) is multi-valued")))
        }
        (Some(values), Some(value)) if values.contains(value) => Ok(()),
        (Some(_), Some(value)) => failed(&format!("Attribute ({name}) value is not {value}")),
    }
}

/// An item with these attributes put.
fn with(item: Option<&Attributes>, attributes: &[Attribute]) -> Result<Attributes, Failure> {
    if attributes.is_empty() {
        return Err((400, "MissingParameter", "No attributes".to_owned()));
    }
    if attributes.len() > MOST_ATTRIBUTES {
        return Err((
            409,
            "NumberSubmittedAttributesExceeded",
            format!("more than {MOST_ATTRIBUTES} attributes in one call"),
        ));
    }
    let mut changed = item.cloned().unwrap_or_default();
    for attribute in attributes.iter().filter(|attribute| attribute.replace) {
        changed.remove(&attribute.name);
    }
    for attribute in attributes {
        let value = attribute.value.clone();
        let value =
            value.ok_or_else(|| (400, "MissingParameter", "Attribute.Value is missing".to_owned()))?;
        changed.entry(attribute.name.clone()).or_default().insert(value);
    }
    if changed.values().map(|values| values.len()).sum::<usize>() > MOST_ATTRIBUTES {
        return Err((
            409,
            "NumberItemAttributesExceeded",
            format!("more than {MOST_ATTRIBUTES} attributes in one item"),
        ));
    }
    Ok(changed)
}

/// Takes these attributes off an item, or the item away if none are named.
fn without(items: &mut Items, name: &str, attributes: &[Attribute]) {
    let Some(item) = items.get_mut(name) else { return };
    for attribute in attributes {
        match &attribute.value {
            Some(value) => {
                if let Some(values) = item.get_mut(&attribute.name) {
                    values.remove(value);
                }
            }
            None => {
                item.remove(&attribute.name);
            }
        }
    }
    item.retain(|_, values| !values.is_empty());
    if attributes.is_empty() || item.is_empty() {
        items.remove(name);
    }
}

fn print(attributes: &Attributes, shown: impl Fn(&str) -> bool) -> String {
    let values = attributes.iter().filter(|(name, _)| shown(name));
    let pairs = values.flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    pairs
        .map(|(name, value)| {
            format!("<Attribute><Name>{}</Name><Value>{}</Value></Attribute>", escape(name), escape(value))
        })
        .collect()
}
