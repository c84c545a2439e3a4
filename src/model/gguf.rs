//! GGUF files, memory-mapped and checked: metadata and the places of the tensors.
//!
//! Every count, length and offset is compared with the file's size before it is used, so a damaged or
//! hostile file gives one sentence and costs no memory.

use crate::error::{Context, Error, Result};
use crate::model::format::Format;
use memmap2::Mmap;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A metadata value. Arrays are typed; numbers are widened.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Uint(u64),
    Int(i64),
    Float(f64),
    Bool(bool),
    Str(String),
    Strings(Vec<String>),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Bools(Vec<bool>),
}

/// Where a tensor lies in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorPlace {
    /// Row-major, outermost first (GGUF itself states the innermost first).
    pub shape: Vec<usize>,
    pub format: Format,
    /// Bytes in the file.
    pub range: Range<usize>,
}

/// An opened GGUF file.
pub struct Gguf {
    pub path: PathBuf,
    pub metadata: BTreeMap<String, Value>,
    pub tensors: BTreeMap<String, TensorPlace>,
    /// The whole file; `None` for a value built by hand.
    pub map: Option<Arc<Mmap>>,
}

const MAGIC: &[u8; 4] = b"GGUF";
/// A tensor's name longer than this is damage (llama.cpp's own limit is 64).
const NAME_LIMIT: u64 = 4096;

impl Gguf {
    /// Opens, maps and reads the header of `path`.
    ///
    /// # Errors
    /// One sentence naming the file: missing, not GGUF, an unsupported version, cut off, or a count,
    /// length or offset that does not fit the file.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let file = File::open(path).with_context(|| format!("{shown}: cannot be opened"))?;
        let meta = file.metadata().with_context(|| format!("{shown}: cannot be read"))?;
        if !meta.is_file() {
            crate::fail!("{shown}: is not a file");
        }
        if meta.len() < 24 {
            crate::fail!("{shown}: is {} bytes long, too short for a GGUF file; fetch it again", meta.len());
        }
        // SAFETY: the map is read-only; a file changed by another process while mapped is outside our guard.
        let map = unsafe { Mmap::map(&file) }.with_context(|| format!("{shown}: cannot be memory-mapped"))?;
        let mut parsed = Self::parse(&map).map_err(|e| e.context(shown))?;
        parsed.path = path.to_path_buf();
        parsed.map = Some(Arc::new(map));
        Ok(parsed)
    }

    /// Reads a header from bytes (the tensors' ranges are within `bytes`).
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader { bytes, at: 0 };
        if r.take(4)? != MAGIC {
            crate::fail!("is not a GGUF file (its first bytes are not \"GGUF\")");
        }
        let version = r.u32()?;
        if !(2..=3).contains(&version) {
            crate::fail!("is GGUF version {version}; versions 2 and 3 are supported, convert it again");
        }
        let (tensor_count, kv_count) = (r.u64()?, r.u64()?);
        // A tensor entry takes at least 24 bytes, a key at least 13.
        r.fits("tensor count", tensor_count, 24)?;
        r.fits("metadata count", kv_count, 13)?;
        let mut metadata = BTreeMap::new();
        for _ in 0..kv_count {
            let key = r.string()?;
            let kind = r.u32()?;
            let value = r.value(kind).map_err(|e| e.context(format!("metadata key {:?}", clip(&key))))?;
            if metadata.insert(key.clone(), value).is_some() {
                crate::fail!("metadata key {:?} appears twice; the file is damaged", clip(&key));
            }
        }
        let infos = (0..tensor_count).map(|_| r.tensor_info()).collect::<Result<Vec<_>>>()?;
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(Value::Uint(a)) if a.is_power_of_two() && (2..=1 << 20).contains(a) => *a as usize,
            Some(other) => crate::fail!("general.alignment is {other:?}; a power of two from 2 is needed"),
        };
        let start = r.at.next_multiple_of(alignment);
        let mut tensors = BTreeMap::new();
        for (name, shape, format, offset) in infos {
            let place = place(bytes.len(), start, shape, format, offset)
                .map_err(|e| e.context(format!("tensor {:?}", clip(&name))))?;
            if tensors.insert(name.clone(), place).is_some() {
                crate::fail!("tensor {:?} appears twice; the file is damaged", clip(&name));
            }
        }
        Ok(Self { path: PathBuf::new(), metadata, tensors, map: None })
    }

    /// A string, if the key is there and is one.
    pub fn str(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key) {
            Some(Value::Str(s)) => Some(s),
            _ => None,
        }
    }

    /// A non-negative integer of any width.
    pub fn uint(&self, key: &str) -> Option<u64> {
        match self.metadata.get(key) {
            Some(Value::Uint(u)) => Some(*u),
            Some(Value::Int(i)) => u64::try_from(*i).ok(),
            _ => None,
        }
    }

    /// A number of any kind.
    pub fn float(&self, key: &str) -> Option<f64> {
        match self.metadata.get(key) {
            Some(Value::Float(f)) => Some(*f),
            Some(Value::Uint(u)) => Some(*u as f64),
            Some(Value::Int(i)) => Some(*i as f64),
            _ => None,
        }
    }

    /// A truth value.
    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.metadata.get(key) {
            Some(Value::Bool(b)) => Some(*b),
            _ => None,
        }
    }

    /// An array of strings.
    pub fn strings(&self, key: &str) -> Option<&[String]> {
        match self.metadata.get(key) {
            Some(Value::Strings(v)) => Some(v),
            _ => None,
        }
    }

    /// An array of floats.
    pub fn floats(&self, key: &str) -> Option<&[f32]> {
        match self.metadata.get(key) {
            Some(Value::Floats(v)) => Some(v),
            _ => None,
        }
    }

    /// An array of integers.
    pub fn ints(&self, key: &str) -> Option<&[i64]> {
        match self.metadata.get(key) {
            Some(Value::Ints(v)) => Some(v),
            _ => None,
        }
    }

    /// An array of truth values.
    pub fn bools(&self, key: &str) -> Option<&[bool]> {
        match self.metadata.get(key) {
            Some(Value::Bools(v)) => Some(v),
            _ => None,
        }
    }
}

fn clip(s: &str) -> String {
    s.chars().take(80).collect()
}

fn place(file: usize, start: usize, shape: Vec<usize>, format: Format, offset: u64) -> Result<TensorPlace> {
    let count = shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
    let row = shape.last().copied().unwrap_or(1);
    let bytes = count.filter(|_| row % format.block_len() == 0).and_then(|c| format.bytes_for(c));
    let Some(bytes) = bytes else {
        crate::fail!("shape {shape:?} does not fit the format {}; the file is damaged", format.name());
    };
    let from = usize::try_from(offset).ok().and_then(|o| start.checked_add(o));
    let Some((from, to)) = from.and_then(|f| Some((f, f.checked_add(bytes)?))).filter(|(_, to)| *to <= file)
    else {
        crate::fail!(
            "lies outside the file (offset {offset}, {bytes} bytes); the file is cut off, fetch it again"
        );
    };
    if from % format.alignment() != 0 {
        crate::fail!("lies at an odd offset ({from}); the file is damaged");
    }
    Ok(TensorPlace { shape, format, range: from..to })
}

/// A cursor over untrusted bytes.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        if n > rest.len() {
            crate::fail!("is cut off in its header at byte {}; fetch it again", self.bytes.len());
        }
        self.at += n;
        Ok(&rest[..n])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take gives N bytes"))
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Refuses `count` entries of at least `each` bytes that the rest of the file cannot hold.
    fn fits(&self, what: &str, count: u64, each: u64) -> Result<()> {
        let rest = (self.bytes.len() - self.at) as u64;
        if count.checked_mul(each).is_none_or(|need| need > rest) {
            crate::fail!("claims a {what} of {count}, more than the file can hold; it is damaged or cut off");
        }
        Ok(())
    }

    fn string(&mut self) -> Result<String> {
        let n = self.u64()?;
        self.fits("string length", n, 1)?;
        let raw = self.take(n as usize)?;
        // Some vocabularies hold byte pieces that are not UTF-8; they stay recognisable.
        Ok(String::from_utf8_lossy(raw).into_owned())
    }

    fn value(&mut self, kind: u32) -> Result<Value> {
        Ok(match kind {
            0 => Value::Uint(u64::from(self.array::<1>()?[0])),
            1 => Value::Int(i64::from(i8::from_le_bytes(self.array()?))),
            2 => Value::Uint(u64::from(u16::from_le_bytes(self.array()?))),
            3 => Value::Int(i64::from(i16::from_le_bytes(self.array()?))),
            4 => Value::Uint(u64::from(self.u32()?)),
            5 => Value::Int(i64::from(i32::from_le_bytes(self.array()?))),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.array()?))),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::Str(self.string()?),
            9 => {
                let of = self.u32()?;
                let n = self.u64()?;
                self.list(of, n)?
            }
            10 => Value::Uint(self.u64()?),
            11 => Value::Int(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => {
                crate::fail!("has the unknown type {other}; the file is damaged or newer than this program")
            }
        })
    }

    fn list(&mut self, of: u32, n: u64) -> Result<Value> {
        let each = match of {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => crate::fail!("is an array of arrays, which no supported model has; the file is damaged"),
            other => crate::fail!("is an array of the unknown type {other}; the file is damaged"),
        };
        self.fits("array length", n, each)?;
        let mut ints = Vec::new();
        let mut floats = Vec::new();
        let mut strings = Vec::new();
        let mut bools = Vec::new();
        for _ in 0..n {
            match self.value(of)? {
                Value::Uint(u) => ints.push(i64::try_from(u).map_err(|_| Error::failed("number too large"))?),
                Value::Int(i) => ints.push(i),
                Value::Float(f) => floats.push(f as f32),
                Value::Bool(b) => bools.push(b),
                Value::Str(s) => strings.push(s),
                _ => unreachable!("nested arrays are refused above"),
            }
        }
        Ok(match of {
            6 | 12 => Value::Floats(floats),
            7 => Value::Bools(bools),
            8 => Value::Strings(strings),
            _ => Value::Ints(ints),
        })
    }

    fn tensor_info(&mut self) -> Result<(String, Vec<usize>, Format, u64)> {
        let len = u64::from_le_bytes(self.bytes[self.at..].first_chunk().copied().unwrap_or([0; 8]));
        if len > NAME_LIMIT {
            crate::fail!("has a tensor name of {len} bytes; the file is damaged");
        }
        let name = self.string()?;
        let dims = self.u32()?;
        if !(1..=4).contains(&dims) {
            crate::fail!("tensor {:?} has {dims} dimensions; 1 to 4 are possible", clip(&name));
        }
        let mut shape = Vec::with_capacity(4);
        for _ in 0..dims {
            let d = self.u64()?;
            shape.push(
                usize::try_from(d)
                    .map_err(|_| Error::failed(format!("tensor {:?} is too large", clip(&name))))?,
            );
        }
        shape.reverse();
        let kind = self.u32()?;
        let Some(format) = Format::from_ggml(kind) else {
            crate::fail!(
                "tensor {:?} has ggml type {kind}, which is not supported; use F32, F16, BF16, Q4_0 to Q8_0 or Q2_K to Q6_K",
                clip(&name)
            );
        };
        Ok((name, shape, format, self.u64()?))
    }
}
