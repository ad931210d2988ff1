//! `console` for scripts (`--js-console`). What they write is collected; nothing is printed here.

use std::cell::RefCell;
use std::rc::Rc;

use rquickjs::function::Func;
use rquickjs::{Ctx, Function, Object, Result};

/// How much one evaluation may write, in bytes: a script that never ends must not fill the memory of the program.
const LIMIT: usize = 256 << 10;

/// Makes the object. Its functions show what they are given with blanks between: strings as they are, everything
/// else as JSON where JSON can hold it.
const SCRIPT: &str = r#"(function (tell) {
    var text = String, json = JSON.stringify, map = Array.prototype.map;
    function show(value) {
        if (typeof value === "string") { return value; }
        try {
            if (value instanceof Error) { return text(value); }
            var shown = json(value);
            return shown === undefined ? text(value) : shown;
        } catch (error) { return "[" + typeof value + "]"; }
    }
    function writer(isError) {
        return function () { tell(isError, map.call(arguments, show).join(" ")); };
    }
    var log = writer(false), error = writer(true);
    return { log: log, info: log, debug: log, warn: error, error: error, trace: error };
})"#;

/// What scripts wrote since it was last taken.
#[derive(Default)]
pub struct Console(RefCell<Written>);

#[derive(Default)]
struct Written {
    /// Whether it is an error or a warning, and the text.
    lines: Vec<(bool, String)>,
    /// In bytes, with something for each line.
    size: usize,
}

impl Console {
    /// Gives a context the variable `console`.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn install(self: &Rc<Self>, ctx: &Ctx<'_>) -> Result<()> {
        let console = Rc::clone(self);
        let make: Function<'_> = ctx.eval(SCRIPT)?;
        let object: Object<'_> =
            make.call((Func::from(move |is_error: bool, text: String| console.add(is_error, text)),))?;
        ctx.globals().set("console", object)
    }

    fn add(&self, is_error: bool, text: String) {
        let mut written = self.0.borrow_mut();
        if written.size > LIMIT {
            return;
        }
        written.size += text.len() + 16;
        let line = match written.size > LIMIT {
            false => (is_error, text),
            true => (true, "the script writes too much: what follows is left out".to_owned()),
        };
        written.lines.push(line);
    }

    /// What was written since this was last called.
    pub fn take(&self) -> Vec<(bool, String)> {
        self.0.take().lines
    }
}
