use super::*;
use crate::preparing_fixture::{json, step, step_input, values};

fn scatter(names: &[&str], method: Option<ScatterMethod>, inputs: &str) -> Result<Scatter, String> {
    let mut step = step(names.iter().map(|name| step_input(name, 1)).collect());
    step.scatter = names.iter().map(|&name| name.into()).collect();
    step.scatter_method = method;
    match Scatter::new(&step, &values(inputs)) {
        Ok(scatter) => Ok(scatter.expect("a scattered step")),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_step_without_scatter_has_none() {
    assert_eq!(Scatter::new(&step(Vec::new()), &ValueMap::new()).expect("no scatter"), None);
}

#[test]
fn elements_and_shapes() {
    use ScatterMethod::{Dot, FlatCross, NestedCross};
    let cases: [(&[&str], _, _, &str, &str); 14] = [
        (&["a"], None, r#"{"a": [1, 2]}"#, "[0] [1]", r#"["0","1"]"#),
        (&["a"], None, r#"{"a": []}"#, "", "[]"),
        (&["a"], Some(NestedCross), r#"{"a": [1, 2]}"#, "[0] [1]", r#"["0","1"]"#),
        (&["a", "b"], Some(Dot), r#"{"a": [1, 2], "b": [3, 4]}"#, "[0, 0] [1, 1]", r#"["0","1"]"#),
        (&["a", "b"], Some(Dot), r#"{"a": [], "b": []}"#, "", "[]"),
        (
            &["a", "b"],
            Some(FlatCross),
            r#"{"a": [1, 2], "b": [3, 4, 5]}"#,
            "[0, 0] [0, 1] [0, 2] [1, 0] [1, 1] [1, 2]",
            r#"["0","1","2","3","4","5"]"#,
        ),
        (
            &["a", "b"],
            Some(NestedCross),
            r#"{"a": [1, 2], "b": [3, 4, 5]}"#,
            "[0, 0] [0, 1] [0, 2] [1, 0] [1, 1] [1, 2]",
            r#"[["0","1","2"],["3","4","5"]]"#,
        ),
        (
            &["a", "b", "c"],
            Some(NestedCross),
            r#"{"a": [1], "b": [1, 2], "c": [1, 2]}"#,
            "[0, 0, 0] [0, 0, 1] [0, 1, 0] [0, 1, 1]",
            r#"[[["0","1"],["2","3"]]]"#,
        ),
        (&["a", "b"], Some(NestedCross), r#"{"a": [1, 2], "b": []}"#, "", "[[],[]]"),
        (&["a", "b"], Some(NestedCross), r#"{"a": [], "b": [1, 2]}"#, "", "[]"),
        (&["a", "b", "c"], Some(NestedCross), r#"{"a": [1, 2], "b": [], "c": [1]}"#, "", "[[],[]]"),
        (&["a", "b", "c"], Some(NestedCross), r#"{"a": [1], "b": [1, 2], "c": []}"#, "", "[[[],[]]]"),
        (&["a", "b"], Some(FlatCross), r#"{"a": [1, 2], "b": []}"#, "", "[]"),
        (&["a", "b"], Some(FlatCross), r#"{"a": [], "b": [1]}"#, "", "[]"),
    ];
    for (names, method, inputs, elements, gathered) in cases {
        let scatter = scatter(names, method, inputs).expect(inputs);
        let found: Vec<String> =
            (0..scatter.count()).map(|index| format!("{:?}", scatter.element(index))).collect();
        assert_eq!(found.join(" "), elements, "{method:?} {inputs}");
        let results = (0..scatter.count()).map(|index| Value::from(index.to_string())).collect();
        assert_eq!(
            json(&scatter.gather(results)).split_whitespace().collect::<String>(),
            gathered,
            "{method:?} {inputs}"
        );
    }
}

#[test]
fn missing_results_are_null() {
    let scatter = scatter(&["a"], None, r#"{"a": [1, 2]}"#).expect("scatter");
    assert_eq!(scatter.gather(vec![1.into()]), Value::list(vec![1.into(), Value::Null]));
}

#[test]
fn what_cannot_be_scattered_is_refused() {
    use ScatterMethod::{Dot, FlatCross};
    let cases: [(&[&str], _, _, _); 5] = [
        (&["a", "b"], Some(Dot), r#"{"a": [1], "b": [1, 2]}"#, "same length, but `a` has 1, `b` has 2"),
        (&["a"], None, r#"{"a": null}"#, "over `a`, which must be a list, but is null"),
        (&["a"], None, r#"{}"#, "over `a`, which must be a list, but is null"),
        (&["a", "b"], None, r#"{"a": [1], "b": [1]}"#, "needs a scatterMethod"),
        (&["a", "b"], Some(FlatCross), r#"{"a": [1], "b": "x"}"#, "over `b`, which must be a list"),
    ];
    for (names, method, inputs, part) in cases {
        let message = scatter(names, method, inputs).expect_err(inputs);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn products_beyond_all_reason_are_refused() {
    assert_eq!(product(&[1 << 20, 1 << 20]), None);
    assert_eq!(product(&[usize::MAX, 2]), None);
    assert_eq!(product(&[100_000, 1000]), Some(100_000_000));
}

#[test]
fn empty_lists_are_named() {
    let scatter =
        scatter(&["a", "b"], Some(ScatterMethod::FlatCross), r#"{"a": [], "b": [1]}"#).expect("scatter");
    assert_eq!(scatter.empty_names().map(|name| &**name).collect::<Vec<_>>(), ["a"]);
}
