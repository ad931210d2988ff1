use super::*;
use crate::requirement::RequirementKind as Kind;
use crate::test_support::tool;

/// Requirements out of the fields of a tool.
fn of(fields: &str) -> Requirements {
    let text = format!("cwlVersion: v1.2\nclass: CommandLineTool\ninputs: []\noutputs: []\n{fields}");
    tool(&text).common.requirements.clone()
}

fn image(effective: &Effective) -> Option<(&str, bool)> {
    effective.docker.as_ref().and_then(|(docker, required)| Some((docker.pull.as_deref()?, *required)))
}

#[test]
fn requirements_beat_hints_and_inner_ones_beat_outer_ones() {
    let required = |image: &str| format!("requirements: {{DockerRequirement: {{dockerPull: {image}}}}}\n");
    let hint = |image: &str| format!("hints: {{DockerRequirement: {{dockerPull: {image}}}}}\n");
    for (chain, expected) in [
        (vec![], None),
        (vec![hint("a")], Some(("a", false))),
        (vec![hint("a"), hint("b")], Some(("b", false))),
        (vec![required("a"), hint("b")], Some(("a", true))),
        (vec![hint("a"), required("b")], Some(("b", true))),
        (vec![required("a"), required("b"), hint("c")], Some(("b", true))),
        (vec![required("a"), String::new()], Some(("a", true))),
    ] {
        let chain: Vec<Requirements> = chain.iter().map(|fields| of(fields)).collect();
        let effective = Effective::of(&chain.iter().collect::<Vec<_>>(), Version::V1_2);
        assert_eq!(image(&effective), expected, "{chain:?}");
    }
}

#[test]
fn the_inner_requirement_counts_as_a_whole() {
    let outer = of("requirements: {ResourceRequirement: {coresMin: 2, ramMin: 100}}");
    let inner = of("requirements: {ResourceRequirement: {coresMin: 4}}");
    let resources = Effective::of(&[&outer, &inner], Version::V1_2).resources.expect("a ResourceRequirement");
    assert!(resources.cores_min.is_some() && resources.ram_min.is_none(), "{resources:?}");
}

#[test]
fn the_input_object_speaks_for_the_first_process_only() {
    let network = |value: &str| of(&format!("requirements: {{NetworkAccess: {{networkAccess: {value}}}}}"));
    let root = Inherited::root(network("true").required);
    let outer = root.enter(&network("false"));
    assert_eq!(outer.effective(Version::V1_2).network, Some(BoolOrText::Bool(true)));
    let inner = outer.enter(&network("false"));
    assert_eq!(inner.effective(Version::V1_2).network, Some(BoolOrText::Bool(false)));
    let silent = root.enter(&Requirements::default());
    assert_eq!(silent.effective(Version::V1_2).network, Some(BoolOrText::Bool(true)));
}

#[test]
fn unknown_requirements_are_kept_and_unknown_hints_are_not() {
    let place = of("requirements: {WorkReuse: {enableReuse: true}}").required.remove(0).place;
    let unknown = |class: &str| Requirement { place: place.clone(), kind: Kind::Unknown(class.into()) };
    let own = Requirements { required: vec![unknown("a"), unknown("b"), unknown("a")], hints: Vec::new() };
    let classes: Vec<String> =
        Effective::of(&[&own], Version::V1_2).unknown.iter().map(|(_, class)| class.to_string()).collect();
    assert_eq!(classes, ["a", "b"]);
}

#[test]
fn what_nobody_asks_for_is_off() {
    let effective = Effective::none(Version::V1_0);
    assert!(effective.javascript.is_none() && !effective.shell && effective.network.is_none());
    let effective = Effective::of(&[&of("requirements: {InlineJavascriptRequirement: {}}")], Version::V1_2);
    assert!(effective.javascript.is_some_and(|library| library.is_empty()));
}

#[test]
fn secrets_are_those_of_one_process() {
    let secrets = |names: &str| {
        of(&format!(
            "$namespaces: {{cwltool: 'http://commonwl.org/cwltool#'}}\nhints: {{'cwltool:Secrets': {{secrets: {names}}}}}"
        ))
    };
    let names = |inherited: &Inherited| {
        let secrets = inherited.effective(Version::V1_2).secrets.unwrap_or_default();
        secrets.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let outer = Inherited::default().enter(&secrets("[a, b]"));
    assert_eq!(names(&outer), ["a", "b"]);
    assert_eq!(names(&outer.enter(&Requirements::default())), [""; 0]);
    assert_eq!(names(&outer.enter(&secrets("[c]"))), ["c"]);
}

#[test]
fn whether_nodes_may_be_taken_away_is_said_in_the_words_of_arvados() {
    let said = |prefix: &str, class: &str, value: &str| {
        let own = of(&format!(
            "$namespaces: {{{prefix}: 'http://arvados.org/cwl#'}}\nhints: {{'{class}': {{usePreemptible: {value}}}}}"
        ));
        let effective = Effective::of(&[&own], Version::V1_2);
        let text = serde_json::to_string(&effective).expect("it is written");
        assert_eq!(
            serde_json::from_str::<Effective>(&text).expect("it is read").preemptible,
            effective.preemptible
        );
        effective.preemptible
    };
    assert_eq!(said("arv", "arv:UsePreemptible", "true"), Some(true));
    assert_eq!(said("a", "a:UsePreemptible", "false"), Some(false));
    assert_eq!(said("arv", "http://arvados.org/cwl#UsePreemptible", "true"), Some(true));
    assert_eq!(said("arv", "other:UsePreemptible", "true"), None);
}
