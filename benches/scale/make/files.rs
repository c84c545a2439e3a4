//! The two kinds of files, written as they are filled: nothing is in memory but a piece of a tensor.

use super::numbers::Coding;
use super::vocabulary::Vocabulary;
use super::{Role, Shape, Store, Tensor, tensors};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Bytes filled at a time.
const PIECE: usize = 64 << 20;

/// Where a tensor's data begins in a GGUF file is a multiple of this.
const ALIGNMENT: usize = 32;

fn coding(store: Store, role: Role) -> Coding {
    match (store, role) {
        (Store::Bf16, _) => Coding::Bf16,
        (Store::F32, _) | (_, Role::Norm) => Coding::F32,
        (Store::Q4K, Role::Fine) => Coding::Q6K,
        (Store::Q4K, Role::Linear) => Coding::Q4K,
        (Store::Q4_0, _) => Coding::Q4_0,
    }
}

fn size(store: Store, t: &Tensor) -> usize {
    coding(store, t.role).bytes(t.dims.iter().product())
}

fn fill(to: &mut impl Write, store: Store, t: &Tensor, seed: usize) -> io::Result<()> {
    let coding = coding(store, t.role);
    if t.role == Role::Norm {
        let one: &[u8] = if coding == Coding::F32 { &[0, 0, 0x80, 0x3f] } else { &[0x80, 0x3f] };
        return to.write_all(&one.repeat(t.dims[0]));
    }
    let (_, block) = coding.block();
    let whole = PIECE / block * block;
    let mut left = size(store, t);
    let mut buffer = vec![0u8; whole.min(left)];
    let mut piece = 0;
    while left > 0 {
        let n = whole.min(left);
        coding.fill(&mut buffer[..n], ((seed as u64) << 20) + piece + 1);
        to.write_all(&buffer[..n])?;
        (left, piece) = (left - n, piece + 1);
    }
    Ok(())
}

/// config.json, tokenizer and sharded safetensors with their index.
pub fn directory(place: &Path, shape: &Shape, store: Store) -> io::Result<()> {
    let json_file = |name: &str, value: &Value| std::fs::write(place.join(name), format!("{value:#}\n"));
    let dtype = if store == Store::Bf16 { "bfloat16" } else { "float32" };
    json_file(
        "config.json",
        &json!({
            "architectures": ["MistralForCausalLM"], "model_type": "mistral", "hidden_act": "silu",
            "hidden_size": shape.hidden, "intermediate_size": shape.intermediate,
            "num_hidden_layers": shape.blocks, "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads, "head_dim": shape.head_dim, "vocab_size": shape.vocabulary,
            "max_position_embeddings": 32768, "rms_norm_eps": 1e-5, "rope_theta": 1e6, "sliding_window": null,
            "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": dtype,
        }),
    )?;
    for (name, value) in Vocabulary::new(shape.vocabulary).hugging_face() {
        json_file(name, &value)?;
    }
    let all = tensors(shape);
    let mut shards: Vec<Vec<(usize, &Tensor)>> = vec![Vec::new()];
    let mut used = 0;
    for (seed, t) in all.iter().enumerate() {
        if used > 0 && used + size(store, t) > shape.shard {
            shards.push(Vec::new());
            used = 0;
        }
        used += size(store, t);
        shards.last_mut().expect("never empty").push((seed, t));
    }
    let mut weight_map = Map::new();
    for (i, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", i + 1, shards.len());
        weight_map.extend(shard.iter().map(|(_, t)| (t.hf.clone(), json!(name))));
        safetensors(&place.join(&name), store, shard)?;
    }
    let total: usize = all.iter().map(|t| size(store, t)).sum();
    let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
    json_file("model.safetensors.index.json", &index)
}

fn safetensors(path: &Path, store: Store, shard: &[(usize, &Tensor)]) -> io::Result<()> {
    let mut header = Map::new();
    let mut at = 0;
    for (_, t) in shard {
        let dtype = if store == Store::Bf16 { "BF16" } else { "F32" };
        let end = at + size(store, t);
        header.insert(t.hf.clone(), json!({"dtype": dtype, "shape": t.dims, "data_offsets": [at, end]}));
        at = end;
    }
    let mut header = Value::Object(header).to_string();
    // Spaces at the end keep the data aligned, as the reference library's writer does.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut to = BufWriter::new(File::create(path)?);
    to.write_all(&(header.len() as u64).to_le_bytes())?;
    to.write_all(header.as_bytes())?;
    for (seed, t) in shard {
        fill(&mut to, store, t, *seed)?;
    }
    to.flush()
}

/// One GGUF file with its tokenizer.
pub fn gguf(path: &Path, shape: &Shape, store: Store) -> io::Result<()> {
    let all = tensors(shape);
    let mut head = Header(Vec::new());
    let meta = metadata(shape);
    head.0.extend(b"GGUF");
    head.0.extend(3u32.to_le_bytes());
    head.0.extend((all.len() as u64).to_le_bytes());
    head.0.extend(meta.count.to_le_bytes());
    head.0.extend(meta.body.0);
    let mut offset = 0usize;
    for t in &all {
        head.string(&t.gguf);
        head.0.extend((t.dims.len() as u32).to_le_bytes());
        for d in t.dims.iter().rev() {
            head.0.extend((*d as u64).to_le_bytes());
        }
        head.0.extend(coding(store, t.role).ggml().to_le_bytes());
        head.0.extend((offset as u64).to_le_bytes());
        offset += size(store, t).next_multiple_of(ALIGNMENT);
    }
    head.0.resize(head.0.len().next_multiple_of(ALIGNMENT), 0);
    let mut to = BufWriter::new(File::create(path)?);
    to.write_all(&head.0)?;
    for (seed, t) in all.iter().enumerate() {
        fill(&mut to, store, t, seed)?;
        let bytes = size(store, t);
        to.write_all(&vec![0; bytes.next_multiple_of(ALIGNMENT) - bytes])?;
    }
    to.flush()
}

struct Header(Vec<u8>);

impl Header {
    fn string(&mut self, s: &str) {
        self.0.extend((s.len() as u64).to_le_bytes());
        self.0.extend(s.as_bytes());
    }
}

struct Metadata {
    body: Header,
    count: u64,
}

impl Metadata {
    fn key(&mut self, key: &str, kind: u32) -> &mut Vec<u8> {
        self.body.string(key);
        self.body.0.extend(kind.to_le_bytes());
        self.count += 1;
        &mut self.body.0
    }

    fn uint(&mut self, key: &str, value: usize) {
        self.key(key, 4).extend((value as u32).to_le_bytes());
    }

    fn float(&mut self, key: &str, value: f32) {
        self.key(key, 6).extend(value.to_le_bytes());
    }

    fn str(&mut self, key: &str, value: &str) {
        self.key(key, 8);
        self.body.string(value);
    }

    /// The head of an array of `len` values of a type.
    fn array(&mut self, key: &str, of: u32, len: usize) -> &mut Vec<u8> {
        let to = self.key(key, 9);
        to.extend(of.to_le_bytes());
        to.extend((len as u64).to_le_bytes());
        to
    }
}

fn metadata(shape: &Shape) -> Metadata {
    let mut m = Metadata { body: Header(Vec::new()), count: 0 };
    m.str("general.architecture", "llama");
    m.uint("general.alignment", ALIGNMENT);
    for (key, value) in [
        ("block_count", shape.blocks),
        ("context_length", 32768),
        ("embedding_length", shape.hidden),
        ("feed_forward_length", shape.intermediate),
        ("attention.head_count", shape.heads),
        ("attention.head_count_kv", shape.kv_heads),
        ("attention.key_length", shape.head_dim),
        ("attention.value_length", shape.head_dim),
        ("rope.dimension_count", shape.head_dim),
        ("vocab_size", shape.vocabulary),
    ] {
        m.uint(&format!("llama.{key}"), value);
    }
    m.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
    m.float("llama.rope.freq_base", 1e6);
    let vocabulary = Vocabulary::new(shape.vocabulary);
    m.str("tokenizer.ggml.model", "llama");
    m.array("tokenizer.ggml.tokens", 8, vocabulary.pieces.len());
    vocabulary.pieces.iter().for_each(|p| m.body.string(p));
    let scores = m.array("tokenizer.ggml.scores", 6, vocabulary.pieces.len());
    scores.extend(vocabulary.scores().flat_map(f32::to_le_bytes));
    let kinds = m.array("tokenizer.ggml.token_type", 5, vocabulary.pieces.len());
    kinds.extend(vocabulary.kinds().flat_map(i32::to_le_bytes));
    for (key, id) in [("unknown", 0), ("bos", 1), ("eos", 2)] {
        m.uint(&format!("tokenizer.ggml.{key}_token_id"), id);
    }
    m.key("tokenizer.ggml.add_bos_token", 7).push(1);
    m
}
