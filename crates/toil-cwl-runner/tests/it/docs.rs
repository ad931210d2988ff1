//! The pages that are made from the tables are up to date.

use std::path::Path;

use toil_cwl_runner::docs;

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may be told to write the pages anew")]
fn the_pages_are_those_of_the_tables() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let bless = std::env::var_os("MOIL_BLESS").is_some();
    for (name, text) in docs::pages() {
        let path = dir.join(name);
        if bless {
            std::fs::create_dir_all(&dir).expect("the directory is made");
            std::fs::write(&path, &text).expect("the page is written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "docs/{name} is not up to date: run the tests with MOIL_BLESS=1");
    }
}
