//! JavaScript by QuickJS (CWL v1.2 §"Expressions"): strict, without host objects, within limits of
//! time, memory and stack. Only `--js-console` adds an object: `console`.
//!
//! Every evaluation has a context of its own, so nothing that a script does to its globals or to
//! built-in prototypes is seen by another one. Only the runtime (the heap) and the bytecode of the
//! libraries are kept.

mod bytecode;
mod console;
mod library;
mod memory;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use rquickjs::context::{EvalOptions, Intrinsic, intrinsic};
use rquickjs::function::Func;
use rquickjs::{Context, Ctx, Error, Runtime, Value as JsValue};

use self::bytecode::Bytecode;
use self::console::Console;
use self::library::{Libraries, Library};
use self::memory::Memory;
use crate::expression::Limits;
use crate::json;
use crate::parameter_reference::Roots;
use crate::print;
use crate::text::Text;
use crate::value::Value;

/// Stack that JavaScript may take, in bytes: enough for the parser on large libraries, and half of
/// what Rust gives a thread by default.
const STACK: usize = 1 << 20;

/// How much memory may be in use, in bytes, before an evaluation begins with a collection of garbage.
/// An empty context takes about 150 KiB.
const GARBAGE: usize = 4 << 20;

/// The name of the script of an expression in stack traces.
const EXPRESSION: &str = "expression";

/// What nearly all expressions can do with. Typed arrays and weak references cost as much time to set
/// up as all the rest.
type Usual = (
    intrinsic::Eval,
    intrinsic::Date,
    intrinsic::RegExp,
    intrinsic::Json,
    intrinsic::MapSet,
    intrinsic::Promise,
    intrinsic::Proxy,
);

/// Everything but what belongs to hosts.
type Complete = (Usual, intrinsic::TypedArrays, intrinsic::WeakRef);

/// Texts that may need more than [`Usual`].
const COMPLETE_WORDS: &[&str] = &[
    "Uint",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Float16",
    "Float32",
    "Float64",
    "ArrayBuffer",
    "DataView",
    "WeakRef",
    "FinalizationRegistry",
    "Atomics",
    "eval",
    "Function",
];

/// Texts that may look at the clock or at random numbers: they name them, or can make names.
const NONDETERMINISTIC_WORDS: &[&str] =
    &["Date", "random", "eval", "Function", "constructor", "globalThis", "Math[", "\\u", "\\x"];

/// Texts that may reach a global variable without naming it.
const INDIRECT_WORDS: &[&str] = &["eval", "Function", "constructor", "this", "This", "\\"];

/// Replaces what gives another value each time by the same with a note of its use. The functions are bound ones, since
/// those look like built-in ones.
const OBSERVER: &str = r#"(function (note) {
    var RealDate = Date, now = Date.now, random = Math.random, construct = Reflect.construct;
    var describe = Object.getOwnPropertyDescriptor, define = Object.defineProperty;
    function like(real, observed) {
        Object.getOwnPropertyNames(real).forEach(function (name) {
            define(observed, name, describe(real, name));
        });
        return observed;
    }
    function replace(holder, name, observed) {
        var property = describe(holder, name);
        property.value = observed;
        define(holder, name, property);
    }
    function Target() {
        if (!new.target) { note(); return RealDate(); }
        if (arguments.length === 0) { note(); }
        return construct(RealDate, arguments, new.target === Target ? RealDate : new.target);
    }
    Target.prototype = RealDate.prototype;
    var Observed = like(RealDate, Target.bind());
    replace(Observed, "now", like(now, (() => { note(); return now(); }).bind()));
    replace(Math, "random", like(random, (() => { note(); return random(); }).bind()));
    replace(RealDate.prototype, "constructor", Observed);
    replace(globalThis, "Date", Observed);
})"#;

/// Why an evaluation gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The value is `undefined` or of a kind that JSON cannot hold; the text says which.
    NoValue(String),
    /// An exception, a syntax error or a limit.
    Error(String),
}

/// One JavaScript engine. Stays on its thread; makes its runtime when first needed. The thread needs
/// 2 MiB of stack.
pub struct Engine {
    limits: Limits,
    runtime: Option<(Runtime, Rc<Memory>)>,
    watch: Rc<Watch>,
    libraries: Libraries,
    observer: Option<Rc<Bytecode>>,
    /// Where scripts write to; without it they have no `console`.
    console: Option<Rc<Console>>,
}

/// What the callbacks of the runtime see.
#[derive(Default)]
struct Watch {
    deadline: Cell<Option<Instant>>,
    expired: Cell<bool>,
    nondeterministic: Cell<bool>,
    stop: RefCell<Option<Stop>>,
}

/// Asked from time to time whether nobody wants the value any more.
pub type Stop = Box<dyn Fn() -> bool>;

impl Watch {
    /// Whether the script must end: its time is over, or nobody wants its value any more.
    fn is_over(&self) -> bool {
        let is_late = self.deadline.get().is_some_and(|deadline| Instant::now() >= deadline);
        if is_late || self.is_stopped() {
            self.expired.set(true);
        }
        self.expired.get()
    }

    fn is_stopped(&self) -> bool {
        self.stop.borrow().as_ref().is_some_and(|stop| stop())
    }
}

impl Engine {
    /// An engine with these limits. Does nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            runtime: None,
            watch: Rc::default(),
            libraries: Libraries::default(),
            observer: None,
            console: None,
        }
    }

    /// From now on scripts have a `console`, or have none.
    pub fn set_console(&mut self, wanted: bool) {
        self.console = wanted.then(Rc::default);
    }

    /// What scripts wrote to the console since the last call: whether it is an error or a warning, and the text.
    pub fn take_console(&self) -> Vec<(bool, String)> {
        self.console.as_ref().map(|console| console.take()).unwrap_or_default()
    }

    /// From now on evaluations end early once `stop` says so.
    pub fn stop_when(&self, stop: Option<Stop>) {
        *self.watch.stop.borrow_mut() = stop;
    }

    /// Evaluates `(…)` as an expression or `{…}` as the body of a function, after running the parts of
    /// the library in order.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn evaluate(
        &mut self,
        code: &str,
        roots: &Roots<'_>,
        library: &Arc<Vec<Text>>,
    ) -> Result<Value, Failure> {
        self.guarded(|engine, heap| {
            let library = engine.library(heap, library)?;
            let library = library.as_deref();
            let may = |words: &[&str], flag: fn(&Library) -> bool| {
                contains_any(code, words) || library.is_some_and(flag)
            };
            let scope = match may(COMPLETE_WORDS, |l| l.needs_complete) {
                true => heap.scope::<Complete>()?,
                false => heap.scope::<Usual>()?,
            };
            let observer = match may(NONDETERMINISTIC_WORDS, |l| l.may_be_nondeterministic) {
                true => Some(engine.observer(&scope)?),
                false => None,
            };
            let text = scope.with(|ctx| {
                let run = Evaluation { ctx, engine, library, memory: heap.memory };
                run.run(code, roots, observer.as_deref())
            })?;
            json::parse(&text).map_err(|error| Failure::Error(format!("its value is not usable: {error}")))
        })
    }

    /// Checks the syntax of `(…)` or `{…}` without running it.
    ///
    /// # Errors
    /// The words of the engine, with the line.
    pub fn check(&mut self, code: &str) -> Result<(), String> {
        self.compile(&wrap(code))
    }

    /// Checks the syntax of a part of the library.
    ///
    /// # Errors
    /// What JavaScript says.
    pub fn check_program(&mut self, code: &str) -> Result<(), String> {
        self.compile(code)
    }

    fn compile(&mut self, script: &str) -> Result<(), String> {
        let checked = self.guarded(|engine, heap| {
            heap.scope::<Usual>()?.with(|ctx| {
                let run = Evaluation { ctx, engine, library: None, memory: heap.memory };
                bytecode::compile(ctx, script, EXPRESSION).map(drop).map_err(|e| run.failure(e))
            })
        });
        match checked {
            Ok(()) => Ok(()),
            Err(Failure::Error(reason) | Failure::NoValue(reason)) => Err(reason),
        }
    }

    /// Whether the clock or `Math.random` gave a value since it was set to false; sets it.
    pub fn replace_nondeterministic(&self, noticed: bool) -> bool {
        self.watch.nondeterministic.replace(noticed)
    }

    /// Runs `evaluate` with the clock running. The runtime is thrown away where something may be left in it.
    fn guarded<T>(
        &mut self,
        evaluate: impl FnOnce(&mut Self, &Heap<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (runtime, memory) = match self.runtime.take() {
            Some(runtime) => runtime,
            None => self.make_runtime().map_err(|error| Failure::Error(error.to_string()))?,
        };
        self.watch.expired.set(false);
        self.watch.deadline.set(Instant::now().checked_add(self.limits.time));
        let result = evaluate(self, &Heap { runtime: &runtime, memory: &memory, limit: self.limits.memory });
        self.watch.deadline.set(None);
        if memory.is_exhausted() {
            memory.abandon(runtime);
            if self.watch.expired.get() {
                return Err(self.over());
            }
            let mebibytes = self.limits.memory >> 20;
            return Err(Failure::Error(format!("it took more than {mebibytes} MiB of memory")));
        }
        if !self.watch.expired.get() && !runtime.is_job_pending() {
            self.runtime = Some((runtime, memory));
        }
        result
    }

    /// Why a script had to end.
    fn over(&self) -> Failure {
        if self.watch.is_stopped() {
            return Failure::Error("it was stopped".to_owned());
        }
        let seconds = self.limits.time.as_secs_f64();
        Failure::Error(format!("it took more than {seconds} seconds"))
    }

    fn make_runtime(&self) -> rquickjs::Result<(Runtime, Rc<Memory>)> {
        let watch = Rc::clone(&self.watch);
        let (runtime, memory) = Memory::runtime(Box::new(move || watch.is_over()))?;
        runtime.set_max_stack_size(STACK);
        let (watch, watched) = (Rc::clone(&self.watch), Rc::clone(&memory));
        runtime.set_interrupt_handler(Some(Box::new(move || watch.is_over() || watched.check())));
        Ok((runtime, memory))
    }

    /// The compiled library; `None` if it has no parts.
    fn library(&mut self, heap: &Heap<'_>, parts: &Arc<Vec<Text>>) -> Result<Option<Rc<Library>>, Failure> {
        if parts.is_empty() {
            return Ok(None);
        }
        if let Some(library) = self.libraries.get(parts) {
            return Ok(Some(library));
        }
        let library = heap.scope::<Usual>()?.with(|ctx| {
            let mut library = Library::new(parts);
            match bytecode::compile(ctx, &library.source, library::NAME) {
                Ok(bytecode) => {
                    library.bytecode = Some(bytecode);
                    Ok(library)
                }
                Err(error) => {
                    let library = Some(&library);
                    let run = Evaluation { ctx, engine: self, library, memory: heap.memory };
                    Err(run.failure(error))
                }
            }
        })?;
        Ok(Some(self.libraries.insert(parts, library)))
    }

    fn observer(&mut self, scope: &Scope) -> Result<Rc<Bytecode>, Failure> {
        if let Some(observer) = &self.observer {
            return Ok(Rc::clone(observer));
        }
        let compiled = scope.with(|ctx| {
            bytecode::compile(ctx, OBSERVER, "observer").map_err(|error| Failure::Error(error.to_string()))
        });
        Ok(Rc::clone(self.observer.insert(Rc::new(compiled?))))
    }
}

/// The runtime of an evaluation.
struct Heap<'a> {
    runtime: &'a Runtime,
    memory: &'a Rc<Memory>,
    limit: usize,
}

/// A context that is dropped only if its memory is sound.
struct Scope {
    context: Option<Context>,
    memory: Rc<Memory>,
}

impl Heap<'_> {
    /// A new context. The limit on memory holds only once it is made: what it takes is not the script's.
    fn scope<I: Intrinsic>(&self) -> Result<Scope, Failure> {
        self.memory.unlimit();
        // What earlier evaluations left behind is not to count against this one.
        self.runtime.set_gc_threshold(GARBAGE);
        let context =
            Context::custom::<I>(self.runtime).map_err(|error| Failure::Error(error.to_string()))?;
        self.memory.set_limit(self.limit, &context);
        Ok(Scope { context: Some(context), memory: Rc::clone(self.memory) })
    }
}

impl Scope {
    /// Runs `evaluate` in the context.
    fn with<T>(&self, evaluate: impl FnOnce(&Ctx<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        match &self.context {
            Some(context) => context.with(|ctx| evaluate(&ctx)),
            None => Err(Failure::Error("its context is gone".to_owned())),
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if self.memory.is_exhausted() {
            std::mem::forget(self.context.take());
        }
    }
}

/// The script of an expression. The code comes first, so that lines of the script are lines of the
/// expression; the line feed ends a comment.
fn wrap(code: &str) -> String {
    match code.starts_with('{') {
        true => format!("(function(){code}\n)()"),
        false => format!("(function(){{return ({code}\n);}})()"),
    }
}

fn contains_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// One evaluation in its context.
struct Evaluation<'a, 'js> {
    ctx: &'a Ctx<'js>,
    engine: &'a Engine,
    library: Option<&'a Library>,
    memory: &'a Memory,
}

impl<'js> Evaluation<'_, 'js> {
    /// The result as JSON.
    fn run(&self, code: &str, roots: &Roots<'_>, observer: Option<&Bytecode>) -> Result<String, Failure> {
        let prepared = observer.map_or(Ok(()), |observer| self.observe(observer));
        prepared.and_then(|()| self.define(code, roots)).map_err(|error| self.failure(error))?;
        let mut options = EvalOptions::default();
        options.filename = Some(EXPRESSION.to_owned());
        let value: JsValue<'js> =
            self.ctx.eval_with_options(wrap(code), options).map_err(|error| self.failure(error))?;
        let kind = value.type_name();
        match self.ctx.json_stringify(value) {
            Ok(Some(text)) => text.to_string().map_err(|error| self.failure(error)),
            Ok(None) => Err(Failure::NoValue(no_value(kind))),
            Err(error) => Err(self.failure(error)),
        }
    }

    fn observe(&self, observer: &Bytecode) -> rquickjs::Result<()> {
        let watch = Rc::clone(&self.engine.watch);
        let install = bytecode::run(self.ctx, observer)?.into_function().ok_or(Error::Unknown)?;
        install.call((Func::from(move || watch.nondeterministic.set(true)),))
    }

    /// Runs the library and sets the three variables. They exist, without a value, while the library
    /// runs: its functions see them, its top level does not.
    fn define(&self, code: &str, roots: &Roots<'_>) -> rquickjs::Result<()> {
        let globals = self.ctx.globals();
        let is_indirect = contains_any(code, INDIRECT_WORDS) || self.library.is_some_and(|l| l.is_indirect);
        let may_name = |name: &str| {
            is_indirect || code.contains(name) || self.library.is_some_and(|l| l.source.contains(name))
        };
        if let Some(console) = self.engine.console.as_ref().filter(|_| may_name("console")) {
            console.install(self.ctx)?;
        }
        let variables = [("inputs", roots.inputs), ("self", roots.self_), ("runtime", roots.runtime)];
        if let Some(library) = self.library {
            for (name, _) in variables {
                globals.set(name, rquickjs::Undefined)?;
            }
            if let Some(bytecode) = &library.bytecode {
                bytecode::run(self.ctx, bytecode)?;
            }
        }
        for (name, value) in variables {
            // Large inputs cost time, so they are handed over only if something could look at them.
            if may_name(name) {
                globals.set(name, self.ctx.json_parse(print::compact(value))?)?;
            }
        }
        Ok(())
    }

    /// The words for an error of the engine.
    fn failure(&self, error: Error) -> Failure {
        let may_look = error.is_exception() && !self.is_expired() && !self.memory.is_exhausted();
        let reason = if may_look { self.exception() } else { error.to_string() };
        // Showing an exception may itself run code, and out of time.
        if self.engine.watch.is_stopped() || self.is_expired() {
            return self.engine.over();
        }
        Failure::Error(reason)
    }

    fn is_expired(&self) -> bool {
        self.engine.watch.expired.get()
    }

    /// The words for the exception that was thrown last.
    fn exception(&self) -> String {
        let thrown = self.ctx.catch();
        let Some(exception) = thrown.as_exception() else {
            return match thrown.as_string().and_then(|text| text.to_string().ok()) {
                Some(text) => text,
                None => match self.ctx.json_stringify(thrown) {
                    Ok(Some(text)) => text.to_string().unwrap_or_default(),
                    _ => "something that cannot be shown was thrown".to_owned(),
                },
            };
        };
        let message = exception.message().unwrap_or_default();
        let name = exception.as_object().get::<_, String>("name").unwrap_or_else(|_| "Error".to_owned());
        let words = match message.is_empty() {
            true => name,
            false => format!("{name}: {message}"),
        };
        match exception.stack().and_then(|stack| self.place(&stack)) {
            Some(place) => format!("{words} ({place})"),
            None => words,
        }
    }

    /// The innermost line of a stack trace that is ours.
    fn place(&self, stack: &str) -> Option<String> {
        stack.lines().find_map(|frame| {
            let line_after = |name: &str| {
                let start = frame.find(&format!("{name}:"))? + name.len() + 1;
                let digits: String = frame[start..].chars().take_while(char::is_ascii_digit).collect();
                digits.parse::<usize>().ok()
            };
            match line_after(library::NAME) {
                Some(line) => self.library.map(|library| library.place(line)),
                None => line_after(EXPRESSION).map(|line| format!("line {line} of the expression")),
            }
        })
    }
}

fn no_value(kind: &str) -> String {
    match kind {
        "undefined" => "its value is undefined; where no value is meant, it must return null".to_owned(),
        "symbol" => "its value is a symbol, which cannot be written as JSON".to_owned(),
        "constructor" | "function" => "its value is a function, which cannot be written as JSON".to_owned(),
        _ => "its value cannot be written as JSON".to_owned(),
    }
}
