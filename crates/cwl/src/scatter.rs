//! Scattering a step: which items each element takes, and how results become arrays again
//! (CWL v1.2 Workflow §"Scatter/gather").
//!
//! All of it is arithmetic on indices. Nothing here copies an array.

use std::sync::Arc;

use crate::conform::describe;
use crate::error::Error;
use crate::process::{ScatterMethod, Step};
use crate::value::{Value, ValueMap};

/// How one step is scattered over its inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scatter {
    names: Vec<Arc<str>>,
    lengths: Vec<usize>,
    method: ScatterMethod,
    count: usize,
}

impl Scatter {
    /// The scatter of a step with these inputs (after merging and defaults); `None` for a step without `scatter`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for inputs that are no lists, for lists of different lengths under
    /// `dotproduct`, and for products that cannot be counted.
    pub fn new(step: &Step, inputs: &ValueMap) -> Result<Option<Self>, Error> {
        if step.scatter.is_empty() {
            return Ok(None);
        }
        let mut lengths = Vec::with_capacity(step.scatter.len());
        for name in &step.scatter {
            match inputs.get(name).unwrap_or(&Value::Null) {
                Value::List(items) => lengths.push(items.len()),
                other => {
                    let found = describe(other);
                    let message = format!(
                        "step `{}` is scattered over `{name}`, which must be a list, but is {found}",
                        step.name
                    );
                    return Err(Error::invalid(&step.place, message));
                }
            }
        }
        let method = match (step.scatter_method, lengths.as_slice()) {
            (Some(method), _) => method,
            (None, [_]) => ScatterMethod::Dot,
            (None, _) => {
                let message = format!(
                    "step `{}` is scattered over several inputs and needs a scatterMethod",
                    step.name
                );
                return Err(Error::invalid(&step.place, message));
            }
        };
        let count = match method {
            ScatterMethod::Dot => {
                let first = lengths.first().copied().unwrap_or(0);
                if lengths.iter().any(|&length| length != first) {
                    let parts: Vec<String> = step
                        .scatter
                        .iter()
                        .zip(&lengths)
                        .map(|(name, length)| format!("`{name}` has {length}"))
                        .collect();
                    let message = format!(
                        "step `{}`: lists under dotproduct must have the same length, but {}",
                        step.name,
                        parts.join(", ")
                    );
                    return Err(Error::invalid(&step.place, message));
                }
                first
            }
            ScatterMethod::NestedCross | ScatterMethod::FlatCross => product(&lengths).ok_or_else(|| {
                Error::invalid(
                    &step.place,
                    format!("step `{}` is scattered over too many elements", step.name),
                )
            })?,
        };
        Ok(Some(Self { names: step.scatter.clone(), lengths, method, count }))
    }

    /// The number of elements.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The step inputs that are scattered, in the order of the document.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The inputs whose lists are empty, so that all outputs will be; worth a notice.
    pub fn empty_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.iter().zip(&self.lengths).filter(|(_, length)| **length == 0).map(|(name, _)| name)
    }

    /// Which item of each scattered input an element takes, in the order of [`names`](Self::names).
    /// The last input of a product runs fastest. `index` must be below [`count`](Self::count).
    pub fn element(&self, index: usize) -> Vec<usize> {
        match self.method {
            ScatterMethod::Dot => vec![index; self.names.len()],
            ScatterMethod::NestedCross | ScatterMethod::FlatCross => {
                let mut rest = index;
                let mut items: Vec<usize> = self
                    .lengths
                    .iter()
                    .rev()
                    .map(|&length| {
                        let length = length.max(1);
                        let item = rest % length;
                        rest /= length;
                        item
                    })
                    .collect();
                items.reverse();
                items
            }
        }
    }

    /// The inputs of an element: of each scattered one its item.
    pub fn pick(&self, inputs: &ValueMap, element: usize) -> ValueMap {
        let mut picked = inputs.clone();
        for (name, index) in self.names.iter().zip(self.element(element)) {
            let item = inputs.get(name).and_then(Value::as_list).and_then(|items| items.get(index));
            picked.insert(Arc::clone(name), item.cloned().unwrap_or_default());
        }
        picked
    }

    /// The array of one output, from the values of all elements in order: nested as deep as there
    /// are inputs under `nested_crossproduct`, flat otherwise. Missing values count as null.
    pub fn gather(&self, results: Vec<Value>) -> Value {
        let mut results = results;
        results.resize(self.count, Value::Null);
        match self.method {
            ScatterMethod::Dot | ScatterMethod::FlatCross => Value::list(results),
            ScatterMethod::NestedCross => nest(&self.lengths, &mut results.into_iter()),
        }
    }
}

fn nest(lengths: &[usize], results: &mut std::vec::IntoIter<Value>) -> Value {
    match lengths {
        [] => results.next().unwrap_or_default(),
        [length, inner @ ..] => Value::list((0..*length).map(|_| nest(inner, results)).collect()),
    }
}

/// The product, if neither it nor a product of the leading factors is too large: `[[], [], …]` also takes room.
fn product(lengths: &[usize]) -> Option<usize> {
    // 2^32 elements would need hundreds of gigabytes long before they are run.
    const MOST: usize = 1 << 32;
    lengths.iter().try_fold(1usize, |total, &length| total.checked_mul(length).filter(|&total| total <= MOST))
}

#[cfg(test)]
mod tests;
