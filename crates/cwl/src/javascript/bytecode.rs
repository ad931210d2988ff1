//! Compiling a script once and running it in many contexts of one runtime.
//!
//! The only `unsafe` code of this crate: the safe interface of rquickjs offers this for modules, whose
//! names other scripts cannot see.
#![expect(unsafe_code, reason = "rquickjs has no safe interface for the bytecode of scripts")]

use std::ffi::CString;

use rquickjs::{Ctx, Error, Result, Value, qjs};

/// The bytecode of a script, made by [`compile`] in this process.
pub struct Bytecode(Vec<u8>);

/// Compiles a strict global script without running it. `name` appears in stack traces.
///
/// # Errors
/// A JavaScript exception, to be taken from the context.
pub fn compile(ctx: &Ctx<'_>, source: &str, name: &str) -> Result<Bytecode> {
    let source = CString::new(source)?;
    let name = CString::new(name)?;
    let flags = qjs::JS_EVAL_TYPE_GLOBAL | qjs::JS_EVAL_FLAG_STRICT | qjs::JS_EVAL_FLAG_COMPILE_ONLY;
    let raw = ctx.as_raw().as_ptr();
    // SAFETY: the context is alive as long as `ctx`; both texts end with NUL and outlive the call; the
    // length leaves the NUL out, as JS_Eval wants it.
    let compiled = unsafe {
        qjs::JS_Eval(raw, source.as_ptr(), source.as_bytes().len() as _, name.as_ptr(), flags as _)
    };
    // SAFETY: JS_Eval hands over the only reference to a value of this context.
    let compiled = unsafe { Value::from_raw(ctx.clone(), compiled) };
    if compiled.is_exception() {
        return Err(Error::Exception);
    }
    let mut length = 0;
    // SAFETY: `compiled` is alive; JS_WriteObject only reads it and sets `length`.
    let written =
        unsafe { qjs::JS_WriteObject(raw, &mut length, compiled.as_raw(), qjs::JS_WRITE_OBJ_BYTECODE as _) };
    if written.is_null() {
        return Err(Error::Exception);
    }
    // SAFETY: JS_WriteObject returned `length` bytes, which belong to us until js_free.
    let bytes = unsafe { std::slice::from_raw_parts(written, length as usize) }.to_vec();
    // SAFETY: `written` came from this context's allocator and is not used any more.
    unsafe { qjs::js_free(raw, written.cast()) };
    Ok(Bytecode(bytes))
}

/// Runs a compiled script in a context.
///
/// # Errors
/// A JavaScript exception, to be taken from the context.
pub fn run<'js>(ctx: &Ctx<'js>, bytecode: &Bytecode) -> Result<Value<'js>> {
    let raw = ctx.as_raw().as_ptr();
    // SAFETY: QuickJS trusts bytecode, and a `Bytecode` holds nothing but what the same engine wrote in
    // this process; the bytes outlive the call.
    let function = unsafe {
        qjs::JS_ReadObject(raw, bytecode.0.as_ptr(), bytecode.0.len() as _, qjs::JS_READ_OBJ_BYTECODE as _)
    };
    // SAFETY: JS_ReadObject hands over the only reference to a value of this context.
    let function = unsafe { Value::from_raw(ctx.clone(), function) };
    if function.is_exception() {
        return Err(Error::Exception);
    }
    // SAFETY: JS_EvalFunction takes over one reference to the function, which JS_DupValue adds.
    let result = unsafe { qjs::JS_EvalFunction(raw, qjs::JS_DupValue(raw, function.as_raw())) };
    // SAFETY: JS_EvalFunction hands over the only reference to a value of this context.
    let result = unsafe { Value::from_raw(ctx.clone(), result) };
    if result.is_exception() { Err(Error::Exception) } else { Ok(result) }
}
