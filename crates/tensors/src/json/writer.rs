// SPDX-License-Identifier: Apache-2.0
//! JSON text with the original's white space: four spaces for each level, lists on one line where asked for.

use crate::{Code, Result, ServingError};

const INDENT: usize = 4;

/// Upper-case hexadecimal, as the original escapes control characters.
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// An open list or object.
struct Level {
    list: bool,
    empty: bool,
}

/// Builds one JSON text, token by token. The caller keeps to the grammar.
pub(super) struct Writer {
    out: Vec<u8>,
    levels: Vec<Level>,
    single_line: bool,
    /// A name has been written and its value has not.
    named: bool,
    max_bytes: usize,
}

impl Writer {
    pub(super) fn new() -> Self {
        Writer::within(usize::MAX)
    }

    /// A text that [`Writer::check_size`] refuses once it is longer than this.
    pub(super) fn within(max_bytes: usize) -> Self {
        Writer { out: Vec::new(), levels: Vec::new(), single_line: false, named: false, max_bytes }
    }

    /// RESOURCE_EXHAUSTED if the text is too long. Whoever writes many values asks now and then.
    #[inline]
    pub(super) fn check_size(&self) -> Result<()> {
        if self.out.len() > self.max_bytes { Err(too_long(self.max_bytes)) } else { Ok(()) }
    }

    /// Whether list elements and closing brackets of lists stay on their line from now on.
    pub(super) fn set_single_line(&mut self, single_line: bool) {
        self.single_line = single_line;
    }

    /// Bytes written so far.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// A value whose text `write` appends.
    #[inline]
    pub(super) fn value(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.begin();
        write(&mut self.out);
    }

    /// A value that is JSON text already.
    pub(super) fn raw(&mut self, text: &[u8]) {
        self.value(|out| out.extend_from_slice(text));
    }

    /// A string, byte for byte, with the escapes that JSON demands.
    pub(super) fn string(&mut self, text: &[u8]) {
        self.value(|out| write_string(text, out));
    }

    /// The name of an object's next member.
    pub(super) fn key(&mut self, name: &[u8]) {
        self.string(name);
        self.out.extend_from_slice(b": ");
        self.named = true;
    }

    pub(super) fn start_array(&mut self) {
        self.start(true, b'[');
    }

    pub(super) fn end_array(&mut self) {
        self.end(b']');
    }

    pub(super) fn start_object(&mut self) {
        self.start(false, b'{');
    }

    pub(super) fn end_object(&mut self) {
        self.end(b'}');
    }

    fn start(&mut self, list: bool, bracket: u8) {
        self.begin();
        self.out.push(bracket);
        self.levels.push(Level { list, empty: true });
    }

    fn end(&mut self, bracket: u8) {
        if let Some(level) = self.levels.pop()
            && !level.empty
            && !(level.list && self.single_line)
        {
            self.new_line();
        }
        self.out.push(bracket);
    }

    /// What stands between the token before and a value or name.
    #[inline]
    fn begin(&mut self) {
        if std::mem::take(&mut self.named) {
            return;
        }
        let Some(level) = self.levels.last_mut() else { return };
        let first = std::mem::replace(&mut level.empty, false);
        let inline = level.list && self.single_line;
        if !first {
            self.out.push(b',');
            if inline {
                self.out.push(b' ');
            }
        }
        if !inline {
            self.new_line();
        }
    }

    fn new_line(&mut self) {
        self.out.push(b'\n');
        self.out.resize(self.out.len() + self.levels.len() * INDENT, b' ');
    }
}

#[cold]
fn too_long(max_bytes: usize) -> ServingError {
    ServingError::new(Code::ResourceExhausted, format!("the reply is longer than {max_bytes} bytes"))
}

fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (i, &byte) in text.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text[plain..i]);
        plain = i + 1;
        write_escape(byte, out);
    }
    out.extend_from_slice(&text[plain..]);
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        8 => b'b',
        9 => b't',
        10 => b'n',
        12 => b'f',
        13 => b'r',
        b'"' | b'\\' => byte,
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend([byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]));
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
