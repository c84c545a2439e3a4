//! GGUF files, memory-mapped and checked: metadata and the places of the tensors.

use std::collections::BTreeMap;

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

/// An opened GGUF file.
pub struct Gguf {
    pub metadata: BTreeMap<String, Value>,
}

impl Gguf {
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
    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.metadata.get(key) {
            Some(Value::Bool(b)) => Some(*b),
            _ => None,
        }
    }
    pub fn strings(&self, key: &str) -> Option<&[String]> {
        match self.metadata.get(key) {
            Some(Value::Strings(v)) => Some(v),
            _ => None,
        }
    }
    pub fn floats(&self, key: &str) -> Option<&[f32]> {
        match self.metadata.get(key) {
            Some(Value::Floats(v)) => Some(v),
            _ => None,
        }
    }
    pub fn ints(&self, key: &str) -> Option<&[i64]> {
        match self.metadata.get(key) {
            Some(Value::Ints(v)) => Some(v),
            _ => None,
        }
    }
}
