use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::options;

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect()
}

fn parse_line(line: &str) -> Result<Parsed, UsageError> {
    parse(&words(line), &|word| word == "exists" || word == "FALSE")
}

/// What was understood, in a short form: `key=value`, then `@workflow`, then inputs.
fn understood(line: &str) -> String {
    let parsed = match parse_line(line) {
        Ok(parsed) => parsed,
        Err(error) => return format!("error: {error}"),
    };
    let mut parts: Vec<String> = parsed
        .given
        .iter()
        .map(|given| format!("{}={}", given.option.key.trim_start_matches('-'), given.value))
        .collect();
    parts.extend(parsed.job_store_word.map(|word| format!("store:{word}")));
    parts.extend(parsed.workflow.map(|workflow| format!("@{workflow}")));
    parts.extend(parsed.inputs.into_iter().map(|word| match word {
        InputWord::Plain(text) => format!("+{text}"),
        InputWord::Option { name, value: Some(value) } => format!("+<{name}={value}>"),
        InputWord::Option { name, value: None } => format!("+<{name}>"),
    }));
    parts.join(" ")
}

fn check(line: &str, expected: &str) {
    assert_eq!(understood(line), expected, "{line}");
}

#[test]
fn options_and_words_may_be_mixed() {
    check("wf.cwl in.yml", "@wf.cwl +in.yml");
    check("--outdir out wf.cwl in.yml", "outdir=out @wf.cwl +in.yml");
    check("--outdir=out wf.cwl in.yml", "outdir=out @wf.cwl +in.yml");
    check("wf.cwl --outdir out in.yml --quiet", "outdir=out quiet=true @wf.cwl +in.yml");
    check("--outdir= wf.cwl", "outdir= @wf.cwl");
    check("--outdir=a=b wf.cwl", "outdir=a=b @wf.cwl");
    check("wf.cwl -", "@wf.cwl +-");
    check("", "");
}

#[test]
fn the_last_one_wins_whatever_its_spelling() {
    check("--logInfo --logDebug --logLevel=Trace w", "logLevel=Info logLevel=Debug logLevel=Trace @w");
    check("--rm-tmpdir --leave-tmpdir w", "rm-tmpdir=true rm-tmpdir=false @w");
}

#[test]
fn short_options_take_joined_values() {
    check("-e A=1 -eB=2 --setEnv C w", "setEnv=A=1 setEnv=B=2 setEnv=C @w");
    check("-e=A w", "setEnv=A @w");
    check("-p aws w", "provisioner=aws @w");
    check("-w out.json -t a -tb w", "write-summary=out.json target=a target=b @w");
    check("-hx w", "error: unknown option -hx\n  hint: options of the workflow come after the workflow");
}

#[test]
fn two_hyphens_end_the_options() {
    check("wf.cwl -- --outdir x", "@wf.cwl +<outdir> +x");
    check("-- wf.cwl --quiet", "@wf.cwl +<quiet>");
    check("wf.cwl --a 1 -- --outdir=x y", "@wf.cwl +<a> +1 +<outdir=x> +y");
    check(
        "--logFile -- wf.cwl",
        "error: --logFile needs a value (FILE), but -- follows\n  hint: if that is the value, write --logFile=--",
    );
}

#[test]
fn nothing_may_be_abbreviated() {
    check(
        "--out x wf.cwl",
        "error: unknown option --out\n  hint: options of the workflow come after the workflow",
    );
    check("--outdi x wf.cwl", "error: unknown option --outdi\n  hint: did you mean --outdir?");
    check("wf.cwl --out x", "@wf.cwl +<out> +x");
}

#[test]
fn words_after_the_workflow_belong_to_it() {
    check("wf.cwl --file1 f --n -5 --x=-y", "@wf.cwl +<file1> +f +<n> +-5 +<x=-y>");
    check("wf.cwl -x 3 in.yml", "@wf.cwl +<x> +3 +in.yml");
    // Options that only cwltool has are inputs there, as with both programs.
    check("wf.cwl --target a --debug --pack", "@wf.cwl +<target> +a +<debug> +<pack>");
    check("--target a --debug wf.cwl", "target=a logLevel=Debug @wf.cwl");
    check("wf.cwl -t 1 -w 2", "@wf.cwl +<t> +1 +<w> +2");
    // Those of toil-cwl-runner are options in both places.
    check("wf.cwl --logDebug -e A=1 --stats", "logLevel=Debug setEnv=A=1 stats=true @wf.cwl");
}

#[test]
fn flags_that_became_booleans_are_understood_in_both_ways() {
    let flags = [
        "--realTimeLogging",
        "--writeLogsFromAllJobs",
        "--doubleMem",
        "--disableChaining",
        "--disableJobStoreChecksumVerification",
        "--enableUnlimitedPreemptableRetries",
        "--forceDockerAppliance",
        "--metrics",
        "--assumeZeroOverhead",
        "--disableAutoDeployment",
    ];
    for flag in flags {
        let key = options::find(flag).expect("it is in the table").key.trim_start_matches('-');
        check(&format!("{flag} wf.cwl"), &format!("{key}=true @wf.cwl"));
        check(&format!("{flag} true wf.cwl"), &format!("{key}=true @wf.cwl"));
        check(&format!("{flag} False wf.cwl"), &format!("{key}=false @wf.cwl"));
        check(&format!("{flag}=no wf.cwl"), &format!("{key}=false @wf.cwl"));
        check(&format!("{flag} --quiet wf.cwl"), &format!("{key}=true quiet=true @wf.cwl"));
        check(&format!("wf.cwl {flag} in.yml"), &format!("{key}=true @wf.cwl +in.yml"));
        check(&format!("wf.cwl {flag}"), &format!("{key}=true @wf.cwl"));
        check(&format!("{flag}=maybe wf.cwl"), &format!("error: {flag} is true or false, not 'maybe'"));
    }
}

#[test]
fn disable_caching_is_the_opposite_of_caching() {
    check("--disableCaching wf.cwl", "caching=false @wf.cwl");
    check("--disableCaching true wf.cwl", "caching=false @wf.cwl");
    check("--disableCaching false wf.cwl", "caching=true @wf.cwl");
    check("--disableCaching=false wf.cwl", "caching=true @wf.cwl");
    check("wf.cwl --disableCaching false", "caching=true @wf.cwl");
    check("--caching True wf.cwl", "caching=true @wf.cwl");
    // A file that is called like a boolean is the workflow.
    check("--disableCaching FALSE", "caching=false @FALSE");
    check("--caching FALSE wf.cwl", "caching=false @wf.cwl");
}

#[test]
fn optional_values_never_take_the_workflow() {
    check("--writeLogs wf.cwl", "writeLogs= @wf.cwl");
    check("--writeLogs logs wf.cwl", "writeLogs=logs @wf.cwl");
    check("--writeLogs=logs wf.cwl", "writeLogs=logs @wf.cwl");
    check("--writeLogs workflow", "writeLogs= @workflow");
    check("--writeLogs exists in.yml", "writeLogs= @exists +in.yml");
    check("--writeLogs wf.cwl#main in.yml", "writeLogs= @wf.cwl#main +in.yml");
    check("--writeLogs https://a.example/wf in", "writeLogs= @https://a.example/wf +in");
    check("--writeLogsGzip wf.cwl in.yml", "writeLogsGzip= @wf.cwl +in.yml");
    check("--clusterStats wf.cwl in.yml", "clusterStats= @wf.cwl +in.yml");
    check("wf.cwl --writeLogs in.json", "writeLogs= @wf.cwl +in.json");
    check("wf.cwl in.yml --writeLogs logs", "writeLogs=logs @wf.cwl +in.yml");
    check("wf.cwl --writeLogs --quiet", "writeLogs= quiet=true @wf.cwl");
    check("--writeLogs -- wf.cwl", "writeLogs= @wf.cwl");
    check("--defaultPreemptible wf.cwl", "defaultPreemptible=true @wf.cwl");
    check("--defaultPreemptable false wf.cwl", "defaultPreemptible=false @wf.cwl");
    check("--restart wf.cwl", "restart=true @wf.cwl");
    check("--restart auto", "restart=true @auto");
    check("--restart=auto wf.cwl", "restart=auto @wf.cwl");
    check("--restart=later wf.cwl", "error: --restart cannot be 'later'\n  hint: choose one of: auto");
}

#[test]
fn lists_of_variables_end_where_no_variable_can_be() {
    let key = "preserve-environment";
    check(&format!("--{key} A B wf.cwl"), &format!("{key}=A {key}=B @wf.cwl"));
    check(&format!("--{key} A wf.cwl in.yml"), &format!("{key}=A @wf.cwl +in.yml"));
    check(&format!("--{key} A --{key} B wf.cwl"), &format!("{key}=A {key}=B @wf.cwl"));
    check(&format!("--{key}=A B wf.cwl"), &format!("{key}=A @B +wf.cwl"));
    check(&format!("--{key} A B"), &format!("{key}=A @B"));
    check(&format!("--{key} A exists in.yml"), &format!("{key}=A @exists +in.yml"));
    check(&format!("wf.cwl --{key} A B"), &format!("{key}=A {key}=B @wf.cwl"));
    check(&format!("--{key} A B --quiet wf.cwl"), &format!("{key}=A {key}=B quiet=true @wf.cwl"));
}

#[test]
fn a_job_store_as_a_word_is_recognised() {
    check("aws:us-west-2:store wf.cwl in.yml", "store:aws:us-west-2:store @wf.cwl +in.yml");
    check("wf.cwl aws:us-west-2:store --logInfo", "logLevel=Info store:aws:us-west-2:store @wf.cwl");
    check("file:store wf.cwl", "store:file:store @wf.cwl");
    check("file:store", "@file:store");
    check("file:wf.cwl in.yml", "@file:wf.cwl +in.yml");
    check("file:///data/wf in.yml", "@file:///data/wf +in.yml");
    check("aws:us-west-2:store", "store:aws:us-west-2:store");
    // The value of an input is no job store, and neither is a file: after the workflow.
    check("wf.cwl --store aws:us-west-2:x", "@wf.cwl +<store> +aws:us-west-2:x");
    check("wf.cwl file:in", "@wf.cwl +file:in");
}

#[test]
fn faults_are_named() {
    check("--quiet=1 w", "error: --quiet takes no value, but has '1'");
    check("w --outdir", "error: --outdir needs a value (DIR)");
    check(
        "--outdir --quiet w",
        "error: --outdir needs a value (DIR), but --quiet follows\n  hint: if that is the value, write --outdir=--quiet",
    );
    check(
        "--clean sometimes w",
        "error: --clean cannot be 'sometimes'\n  hint: choose one of: always, onError, never, onSuccess",
    );
    check("--clean onsucces w", "error: --clean cannot be 'onsucces'\n  hint: did you mean 'onSuccess'?");
    check("--maxLogFileSize -1 w", "maxLogFileSize=-1 @w");
    check("--job-store x w", "error: unknown option --job-store\n  hint: did you mean --jobStore?");
}

#[test]
fn help_helps_after_a_slip_too() {
    for line in
        ["--help", "-h", "--nonsense --help", "wf.cwl --help", "--outdir --help", "--version -h --outdir"]
    {
        assert!(parse_line(line).is_ok_and(|parsed| parsed.immediate.is_some()), "{line}");
    }
    assert_eq!(parse_line("--version --help").map(|parsed| parsed.immediate), Ok(Some(Immediate::Version)));
}

#[cfg(unix)]
#[test]
fn words_that_are_not_unicode_are_named() {
    use std::os::unix::ffi::OsStringExt;
    let error = parse(&[OsString::from_vec(vec![b'a', 0xff])], &|_| false).expect_err("it is no text");
    assert_eq!(error.message, "the word 'a\u{fffd}' is not valid UTF-8");
}

#[test]
fn every_option_is_parsed_in_each_of_its_spellings() {
    for option in options::all() {
        let value = match (option.kind, option.choices.first()) {
            (_, Some(choice)) => choice,
            (Kind::Bool, None) => "true",
            (_, None) => "7",
        };
        for name in option.names {
            let mut lines = vec![];
            if matches!(option.kind, Kind::Flag | Kind::Bool | Kind::OptionalValue) {
                lines.push(format!("{name} wf.cwl"));
            }
            if option.kind != Kind::Flag {
                lines.push(format!("{name}={value} wf.cwl"));
            }
            if matches!(option.kind, Kind::Value | Kind::Names | Kind::Repeated | Kind::Bool) {
                lines.push(format!("{name} {value} wf.cwl"));
            }
            if option.after_workflow() {
                lines.extend(
                    lines
                        .clone()
                        .iter()
                        .filter_map(|line| line.strip_suffix(" wf.cwl"))
                        .map(|line| format!("wf.cwl {line}"))
                        .collect::<Vec<_>>(),
                );
            }
            assert!(!lines.is_empty(), "{name}");
            for line in lines {
                let parsed = parse_line(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
                let keys: Vec<_> = parsed.given.iter().map(|given| given.option.key).collect();
                assert_eq!((keys, parsed.workflow.as_deref()), (vec![option.key], Some("wf.cwl")), "{line}");
                assert!(parsed.inputs.is_empty(), "{line}");
            }
        }
    }
}

#[test]
fn no_spelling_is_in_the_table_twice() {
    let mut seen = BTreeSet::new();
    for name in options::all().flat_map(|option| option.names) {
        assert!(seen.insert(name), "{name}");
    }
}

fn any_word() -> impl Strategy<Value = String> {
    let names: Vec<&'static str> = options::all().flat_map(|option| option.names).copied().collect();
    let name = proptest::sample::select(names);
    prop_oneof![
        name.clone().prop_map(str::to_owned),
        (name, "[a-z=0-9 -]{0,6}").prop_map(|(name, value)| format!("{name}={value}")),
        proptest::sample::select(vec![
            "--", "-", "true", "wf.cwl", "aws:r:n", "file:x", "-5", "-eA=1", "--é=ü", "-é"
        ])
        .prop_map(str::to_owned),
        "\\PC{0,8}",
    ]
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_or_lose_a_plain_workflow(line in proptest::collection::vec(any_word(), 0..12)) {
        let words: Vec<OsString> = line.iter().map(OsString::from).collect();
        if let Ok(parsed) = parse(&words, &|word| word.len() % 2 == 0) && parsed.immediate.is_none() {
            let mut with_workflow = words.clone();
            with_workflow.insert(0, "wf.cwl".into());
            if let Ok(parsed) = parse(&with_workflow, &|_| false) {
                prop_assert_eq!(parsed.workflow.as_deref(), Some("wf.cwl"));
            }
        }
    }

    #[test]
    fn no_option_ever_takes_a_word_that_ends_like_a_workflow(
        option in proptest::sample::select(options::all().filter(|option| !matches!(option.kind, Kind::Value | Kind::Names | Kind::Repeated)).collect::<Vec<_>>()),
        workflow in "[a-z]{1,8}\\.cwl",
    ) {
        let parsed = parse(&[option.name().into(), workflow.clone().into()], &|_| false).expect("it is valid");
        prop_assert_eq!(parsed.workflow, Some(workflow));
    }
}
