//! Loads documents and prints what is wrong with them.
#![allow(clippy::print_stdout)]
use moil_salad::fetch::Fetch;
struct Disk;
impl Fetch for Disk {
    fn text(&self, uri: &str) -> Result<String, String> {
        std::fs::read_to_string(uri.trim_start_matches("file://")).map_err(|e| e.to_string())
    }
    fn exists(&self, uri: &str) -> bool {
        std::path::Path::new(uri.trim_start_matches("file://")).exists()
    }
}
fn main() {
    for path in std::env::args().skip(1) {
        let loaded = moil_cwl::load::load(&format!("file://{path}"), &Disk, Default::default());
        let failed = loaded.is_err();
        for d in loaded.map_or_else(|diagnostics| diagnostics, |loaded| loaded.warnings) {
            println!("{path}: {:?} {} {:?}: {} {:?}", d.severity, d.code, d.place, d.message, d.hint);
        }
        if failed {
            println!("{path}: FAILED")
        }
    }
}
