//! No option of Toil or cwltool is missing.

use std::collections::BTreeSet;

use toil_cwl_runner::options::{self, Origin};

fn names(list: &'static str) -> BTreeSet<&'static str> {
    list.lines().filter(|line| !line.is_empty()).collect()
}

fn toil() -> BTreeSet<&'static str> {
    names(include_str!("../data/toil-9.6-options.txt"))
}

fn seed_era() -> BTreeSet<&'static str> {
    names(include_str!("../data/toil-seed-era-options.txt"))
}

fn cwltool() -> BTreeSet<&'static str> {
    names(include_str!("../data/cwltool-options.txt"))
}

#[test]
fn every_option_of_toil_and_cwltool_is_in_the_table() {
    let all = toil().into_iter().chain(seed_era()).chain(cwltool());
    let missing: Vec<_> = all.filter(|name| options::find(name).is_none()).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// Where an option comes from decides whether it is one after the workflow.
#[test]
fn every_option_knows_where_it_comes_from() {
    let (toil, seed_era, cwltool) = (toil(), seed_era(), cwltool());
    for option in options::all() {
        let any = |list: &BTreeSet<&str>| option.names.iter().any(|name| list.contains(name));
        let expected = match option.origin {
            Origin::Toil => any(&toil),
            Origin::SeedEra => !any(&toil) && any(&seed_era),
            Origin::Cwltool => !any(&toil) && !any(&seed_era) && any(&cwltool),
            Origin::Own => !any(&toil) && !any(&seed_era) && !any(&cwltool),
        };
        assert!(expected, "{} is not from {:?}", option.name(), option.origin);
    }
}
