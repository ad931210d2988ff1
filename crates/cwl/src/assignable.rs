//! Whether values of one type may go where another is expected.

use std::cell::Cell;
use std::sync::Arc;

use crate::types::{RecordType, Type};

/// How many pairs of types are compared before the answer is yes: nobody writes such types in earnest.
const BUDGET: u32 = 100_000;
/// How deep types are compared.
const DEPTH: u32 = 100;

/// How well a source's type fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Every value fits.
    Always,
    /// Some values fit.
    Sometimes,
    /// None does.
    Never,
}

/// How well `source` fits `sink`. As strict as cwltool: an int is no long and a string no enum symbol;
/// records fit when the sink's fields do; enums all fit each other.
pub fn fit(source: &Type, sink: &Type) -> Fit {
    let budget = Cell::new(BUDGET);
    if assignable(source, sink, true, &budget, DEPTH) {
        Fit::Always
    } else if assignable(source, sink, false, &budget, DEPTH) {
        Fit::Sometimes
    } else {
        Fit::Never
    }
}

fn assignable(source: &Type, sink: &Type, strict: bool, budget: &Cell<u32>, depth: u32) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return true };
    let Some(left) = budget.get().checked_sub(1) else { return true };
    budget.set(left);
    match (source, sink) {
        (Type::Any, _) | (_, Type::Any) => true,
        (Type::Array(a), Type::Array(b)) => {
            Arc::ptr_eq(a, b) || assignable(&a.items, &b.items, strict, budget, depth)
        }
        (Type::Record(a), Type::Record(b)) => Arc::ptr_eq(a, b) || records(a, b, strict, budget, depth),
        (Type::Union(types), _) if strict => {
            types.iter().all(|type_| assignable(type_, sink, false, budget, depth))
        }
        (Type::Union(types), _) => {
            types.iter().any(|type_| *type_ != Type::Null && assignable(type_, sink, false, budget, depth))
        }
        (_, Type::Union(types)) => types.iter().any(|type_| assignable(source, type_, false, budget, depth)),
        _ => std::mem::discriminant(source) == std::mem::discriminant(sink),
    }
}

fn records(source: &RecordType, sink: &RecordType, strict: bool, budget: &Cell<u32>, depth: u32) -> bool {
    sink.fields.iter().all(|wanted| {
        let given = source.fields.iter().find(|field| field.name == wanted.name);
        assignable(given.map_or(&Type::Null, |field| &field.type_), &wanted.type_, strict, budget, depth)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::RecordField;

    fn union(types: &[Type]) -> Type {
        Type::Union(Arc::new(types.to_vec()))
    }

    fn record(fields: &[(&str, Type)]) -> Type {
        let fields = fields
            .iter()
            .map(|(name, type_)| RecordField {
                name: (*name).into(),
                type_: type_.clone(),
                label: None,
                doc: None,
                secondary_files: Vec::new(),
                format: Vec::new(),
                streamable: false,
                load_contents: false,
                load_listing: None,
                input_binding: None,
                output_binding: None,
            })
            .collect();
        Type::Record(Arc::new(RecordType { name: None, fields, binding: None }))
    }

    #[test]
    fn types_fit_as_in_cwltool() {
        let optional = union(&[Type::Null, Type::File]);
        let cases = [
            (Type::File, Type::File, Fit::Always),
            (Type::File, Type::Directory, Fit::Never),
            (Type::Int, Type::Long, Fit::Never),
            (Type::Any, Type::File, Fit::Always),
            (Type::File, Type::Any, Fit::Always),
            (optional.clone(), Type::File, Fit::Sometimes),
            (Type::File, optional.clone(), Fit::Always),
            (Type::Null, Type::File, Fit::Never),
            (optional.clone().array_of(), Type::File.array_of(), Fit::Sometimes),
            (Type::File.array_of(), Type::File, Fit::Never),
            (Type::Int.array_of(), union(&[Type::Int, Type::Int.array_of()]), Fit::Always),
            (record(&[("a", Type::Int), ("b", Type::File)]), record(&[("a", Type::Int)]), Fit::Always),
            (record(&[]), record(&[("a", Type::Int)]), Fit::Never),
            (record(&[]), record(&[("a", union(&[Type::Null, Type::Int]))]), Fit::Always),
        ];
        for (source, sink, expected) in cases {
            assert_eq!(fit(&source, &sink), expected, "{source:?} to {sink:?}");
        }
    }

    #[test]
    fn types_that_explode_are_compared_in_bounded_time() {
        let grow = |leaf: Type| (0..60).fold(leaf, |type_, _| record(&[("a", type_.clone()), ("b", type_)]));
        assert_eq!(fit(&grow(Type::Int), &grow(Type::Int)), Fit::Always);
    }
}
