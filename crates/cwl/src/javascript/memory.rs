//! The memory of one JavaScript runtime: counted, limited, and freed as a whole where need be.
//!
//! QuickJS is not safe once an allocation fails: collecting garbage in the middle of the change that
//! failed, compiling on, or freeing what was left behind can crash the process. So with its own limit
//! (`set_memory_limit`) a script could take the program down. Here the interrupt handler stops a
//! script that is above the limit, before any allocation fails. Only large allocations ever fail, and
//! only above twice the limit or when the time is over: built-in functions that build something large do
//! not ask the interrupt handler. From then on nothing is collected. Either way the runtime is
//! abandoned: its blocks are freed without asking it.
#![expect(unsafe_code, reason = "an allocator for C")]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::cell::Cell;
use std::ptr::{NonNull, null_mut};
use std::rc::Rc;

use rquickjs::allocator::Allocator;
use rquickjs::{Runtime, qjs};

/// The smallest allocation, in bytes, that may fail. Between two calls of the interrupt handler a
/// script can go round a loop ten thousand times, which bounds what smaller ones may add.
const LARGE: usize = 64 << 10;

/// The least, in bytes, that a script may go above its limit before allocations fail.
const SLACK: usize = 64 << 20;

/// What stands before every block.
struct Header {
    /// Bytes after the header.
    size: usize,
    previous: *mut Header,
    next: *mut Header,
}

const ALIGN: usize = 16;
const HEADER: usize = size_of::<Header>().next_multiple_of(ALIGN);

/// Counts and limits what one runtime allocates.
pub struct Memory {
    used: Cell<usize>,
    limit: Cell<usize>,
    exhausted: Cell<bool>,
    /// Whether the time of the script is over.
    is_late: Box<dyn Fn() -> bool>,
    runtime: Cell<Option<NonNull<qjs::JSRuntime>>>,
    /// The block that was allocated last.
    blocks: Cell<*mut Header>,
}

impl Memory {
    /// A runtime without a limit, and its memory. `is_late` is asked before large allocations.
    pub fn runtime(is_late: Box<dyn Fn() -> bool>) -> rquickjs::Result<(Runtime, Rc<Self>)> {
        let memory = Rc::new(Self {
            used: Cell::new(0),
            limit: Cell::new(usize::MAX),
            exhausted: Cell::new(false),
            is_late,
            runtime: Cell::new(None),
            blocks: Cell::new(null_mut()),
        });
        let runtime = Runtime::new_with_alloc(Counting(Rc::clone(&memory)))?;
        Ok((runtime, memory))
    }

    /// From now on no more than `limit` bytes may be in use, or twice as much for a moment. The context
    /// is any one of the runtime.
    pub fn set_limit(&self, limit: usize, context: &rquickjs::Context) {
        // SAFETY: the context is alive, and so is its runtime, as long as anybody allocates from it.
        self.runtime.set(NonNull::new(unsafe { qjs::JS_GetRuntime(context.as_raw().as_ptr()) }));
        self.limit.set(limit);
    }

    /// Takes the limit off.
    pub fn unlimit(&self) {
        self.limit.set(usize::MAX);
    }

    /// Whether a limit was passed. Then the runtime must be abandoned.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    /// Whether more is in use than may be; if so, the memory counts as exhausted.
    pub fn check(&self) -> bool {
        if self.used.get() > self.limit.get() {
            self.exhausted.set(true);
        }
        self.exhausted.get()
    }

    /// Frees all blocks of a runtime that is never used or dropped again. Of the runtime only a few
    /// hundred bytes on our side are lost. Its contexts must be forgotten as well.
    pub fn abandon(&self, runtime: Runtime) {
        std::mem::forget(runtime);
        self.runtime.set(None);
        let mut block = self.blocks.replace(null_mut());
        while !block.is_null() {
            // SAFETY: the list holds the blocks that were allocated and not freed, each with the layout
            // of its size. Nothing refers to them: the runtime and its contexts are forgotten.
            unsafe {
                let next = (*block).next;
                dealloc(block.cast(), layout((*block).size));
                block = next;
            }
        }
        self.used.set(0);
    }

    fn may_allocate(&self, size: usize) -> bool {
        let limit = self.limit.get();
        let hard_limit = limit.saturating_add(limit.max(SLACK));
        let allowed = size < LARGE
            || (self.used.get().saturating_add(size) <= hard_limit
                && (limit == usize::MAX || !(self.is_late)()));
        if !allowed {
            self.exhausted.set(true);
            if let Some(runtime) = self.runtime.get() {
                // SAFETY: it is the runtime that is asking, so it is alive; the function sets one field.
                unsafe { qjs::JS_SetGCThreshold(runtime.as_ptr(), usize::MAX as _) };
            }
        }
        allowed
    }

    /// Enters a new block into the list. It must be valid, with a layout for `size` bytes.
    unsafe fn add(&self, block: *mut Header, size: usize) -> *mut u8 {
        let next = self.blocks.replace(block);
        // SAFETY: the new block is valid for a header and all blocks in the list are.
        unsafe {
            block.write(Header { size, previous: null_mut(), next });
            if !next.is_null() {
                (*next).previous = block;
            }
            self.used.set(self.used.get() + size);
            block.cast::<u8>().add(HEADER)
        }
    }

    /// Takes a block out of the list and returns its size.
    unsafe fn remove(&self, block: *mut Header) -> usize {
        // SAFETY: the block and its neighbours are in the list, so they are valid.
        unsafe {
            let Header { size, previous, next } = block.read();
            match previous.is_null() {
                true => self.blocks.set(next),
                false => (*previous).next = next,
            }
            if !next.is_null() {
                (*next).previous = previous;
            }
            self.used.set(self.used.get() - size);
            size
        }
    }
}

/// The layout of a block with `size` bytes, a size that was allowed.
fn layout(size: usize) -> Layout {
    // SAFETY: ALIGN is a power of two; `checked_layout` has let the size pass.
    unsafe { Layout::from_size_align_unchecked(size + HEADER, ALIGN) }
}

fn checked_layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(HEADER)?, ALIGN).ok()
}

fn header(pointer: *mut u8) -> *mut Header {
    pointer.wrapping_sub(HEADER).cast()
}

/// Hands out memory to QuickJS.
struct Counting(Rc<Memory>);

// SAFETY: every pointer that is handed out lies behind a header of ALIGN bytes or a multiple of it, in
// a block of the layout that the header tells.
unsafe impl Allocator for Counting {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        let Some(layout) = checked_layout(size).filter(|_| self.0.may_allocate(size)) else {
            return null_mut();
        };
        // SAFETY: the layout is not empty; the block is valid for it.
        unsafe {
            let block = alloc(layout);
            if block.is_null() { null_mut() } else { self.0.add(block.cast(), size) }
        }
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        let size = count.checked_mul(size).filter(|size| self.0.may_allocate(*size));
        let Some((size, layout)) = size.and_then(|size| Some((size, checked_layout(size)?))) else {
            return null_mut();
        };
        // SAFETY: as in `alloc`.
        unsafe {
            let block = alloc_zeroed(layout);
            if block.is_null() { null_mut() } else { self.0.add(block.cast(), size) }
        }
    }

    unsafe fn dealloc(&mut self, pointer: *mut u8) {
        // SAFETY: the caller promises that the pointer is ours, so a header stands before it.
        unsafe {
            let size = self.0.remove(header(pointer));
            dealloc(header(pointer).cast(), layout(size));
        }
    }

    unsafe fn realloc(&mut self, pointer: *mut u8, new_size: usize) -> *mut u8 {
        if pointer.is_null() {
            return self.alloc(new_size);
        }
        let block = header(pointer);
        // SAFETY: the caller promises that the pointer is ours, so a header stands before it. If the
        // system has no memory, the old block stays valid and goes back into the list.
        unsafe {
            let old_size = (*block).size;
            let is_allowed = new_size <= old_size || self.0.may_allocate(new_size);
            let Some(new_layout) = checked_layout(new_size).filter(|_| is_allowed) else { return null_mut() };
            self.0.remove(block);
            let moved = realloc(block.cast(), layout(old_size), new_layout.size());
            if moved.is_null() {
                self.0.add(block, old_size);
                return null_mut();
            }
            self.0.add(moved.cast(), new_size)
        }
    }

    unsafe fn usable_size(pointer: *mut u8) -> usize {
        // SAFETY: the caller promises that the pointer is ours, so a header stands before it.
        unsafe { (*header(pointer)).size }
    }
}
