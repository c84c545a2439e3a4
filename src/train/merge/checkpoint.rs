//! What the merged directory holds: the tensors of a base with their adapter, its configuration and tokenizer.

use super::shards::Tensor;
use crate::error::{Context, Result};
use crate::model::act::RmsNorm;
use crate::model::adapter::Adapter;
use crate::model::config::Beside;
use crate::model::decoder::Decoder;
use crate::model::format::Format;
use crate::model::gguf::Gguf;
use crate::model::kernels::CpuWeight;
use crate::model::linear::{Lora, Weight};
use crate::model::loader::Checkpoint;
use crate::model::names::{Names, Norm, Proj};
use crate::model::tokenizer::Tokenizer;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// The format in which a tensor is written.
fn target(found: Format, wanted: Option<Format>) -> Format {
    wanted.unwrap_or(match found {
        Format::F16 | Format::Bf16 => found,
        _ => Format::F32,
    })
}

/// Every tensor of a Hugging Face directory, under its own name.
pub(super) fn of_directory<'a>(
    base: &Checkpoint,
    adapter: &'a Adapter,
    dtype: Option<Format>,
) -> Result<Vec<Tensor<'a>>> {
    let mut loras: BTreeMap<String, &Lora> = BTreeMap::new();
    for layer in 0..base.config.layers.len() {
        for proj in Proj::ALL {
            if let Some(lora) = adapter.lora(layer, proj) {
                loras.insert(base.names.linear(layer, proj, false), lora);
            }
        }
    }
    let tensor = |name: &str| {
        let stored = base.store.find(name)?;
        let inp = stored.shape.last().copied().unwrap_or(1);
        let out: usize = stored.shape.iter().rev().skip(1).product();
        Ok(Tensor {
            name: name.to_owned(),
            shape: stored.shape.clone(),
            format: target(stored.format, dtype),
            numbers: CpuWeight::mapped(stored.map.clone(), stored.range.clone(), stored.format, out, inp)?,
            lora: loras.get(name).copied(),
            stored: Some(stored),
        })
    };
    base.store.names().map(tensor).collect()
}

/// Every tensor of a GGUF file's decoder, under Hugging Face's names and in its order of rows.
pub(super) fn of_decoder<'a>(
    base: &Checkpoint,
    decoder: &Decoder,
    adapter: &'a Adapter,
    dtype: Option<Format>,
) -> Result<Vec<Tensor<'a>>> {
    let gemma = decoder.config.post_norms;
    let names = Names::Hf { prefix: "model.".into(), gemma };
    let weight = |name: String, w: &Weight, lora: Option<&'a Lora>| match w {
        Weight::Cpu(w) => Ok(Tensor {
            name,
            shape: vec![w.out, w.inp],
            format: target(w.format, dtype),
            numbers: w.clone(),
            lora,
            stored: None,
        }),
        Weight::Device(_) => crate::fail!("{name} does not lie in main memory"),
    };
    let vector = |name: String, xs: Vec<f32>| {
        let n = xs.len();
        let numbers = CpuWeight::floats(xs, 1, n);
        Tensor { name, shape: vec![n], format: target(Format::F32, dtype), numbers, lora: None, stored: None }
    };
    // Hugging Face's Gemma stores w where its norm multiplies by 1 + w.
    let norm = |name: String, norm: &RmsNorm| {
        let less = if gemma { 1.0 } else { 0.0 };
        vector(name, norm.factors().into_iter().map(|x| x - less).collect())
    };
    let mut all = vec![weight(names.embedding(), &decoder.embedding, None)?];
    for (layer, block) in decoder.blocks.iter().enumerate() {
        for proj in Proj::ALL {
            let linear = block.linear(proj);
            all.push(weight(names.linear(layer, proj, false), &linear.w, adapter.lora(layer, proj))?);
            if let Some(bias) = &linear.bias {
                all.push(vector(names.linear(layer, proj, true), bias.xs.clone()));
            }
        }
        let norms = [
            (Norm::Attention, Some(&block.attention_norm)),
            (Norm::Q, block.q_norm.as_ref()),
            (Norm::K, block.k_norm.as_ref()),
            (Norm::PostAttention, block.post_attention_norm.as_ref()),
            (Norm::Mlp, Some(&block.mlp_norm)),
            (Norm::PostMlp, block.post_mlp_norm.as_ref()),
        ];
        for (kind, found) in norms {
            all.extend(found.map(|n| norm(names.norm(layer, kind), n)));
        }
    }
    all.push(norm(names.final_norm(), &decoder.final_norm));
    if !tied(base) {
        all.push(weight("lm_head.weight".into(), &decoder.unembedding, None)?);
    }
    Ok(all)
}

/// Whether the file has no separate unembedding.
fn tied(base: &Checkpoint) -> bool {
    !base.names.output().iter().any(|name| base.store.has(name))
}

/// transformers' name of a format.
fn torch_name(format: Format) -> &'static str {
    match format {
        Format::F16 => "float16",
        Format::Bf16 => "bfloat16",
        _ => "float32",
    }
}

/// Writes config.json, generation_config.json, tokenizer.json and tokenizer_config.json for a GGUF file.
pub(super) fn describe(
    dir: &Path,
    gguf: &Gguf,
    base: &Checkpoint,
    tokenizer: &Tokenizer,
    dtype: Option<Format>,
) -> Result<()> {
    let embedding = base.store.find(&base.names.embedding())?;
    let biases = [[Proj::Q, Proj::K, Proj::V].as_slice(), &[Proj::O], &[Proj::Gate, Proj::Up, Proj::Down]]
        .map(|of| of.iter().any(|p| base.store.has(&base.names.linear(0, *p, true))));
    let pad = gguf.uint("tokenizer.ggml.padding_token_id").and_then(|id| u32::try_from(id).ok());
    let beside = Beside {
        vocabulary: embedding.shape.first().copied().unwrap_or(0),
        tied: tied(base),
        bos: tokenizer.bos(),
        eos: tokenizer.eos(),
        pad,
        dtype: torch_name(target(embedding.format, dtype)),
        biases,
    };
    json(dir, "config.json", &base.config.to_json(&beside)?)?;
    let mut generation = serde_json::Map::new();
    for (name, id) in [("bos_token_id", beside.bos), ("eos_token_id", beside.eos), ("pad_token_id", pad)] {
        if let Some(id) = id {
            generation.insert(name.into(), id.into());
        }
    }
    json(dir, "generation_config.json", &Value::Object(generation))?;
    let mut settings = tokenizer.json_settings();
    settings["model_max_length"] = base.config.max_positions.into();
    if let Some(pad) = pad.map(|id| tokenizer.piece(id)).filter(|piece| !piece.is_empty()) {
        settings["pad_token"] = pad.into();
    }
    if let Some(template) = gguf.str("tokenizer.chat_template") {
        settings["chat_template"] = template.into();
    }
    json(dir, "tokenizer_config.json", &settings)?;
    let file = File::create(dir.join("tokenizer.json")).context("tokenizer.json cannot be written")?;
    tokenizer.write_json(BufWriter::new(file))
}

/// Files beside the weights that are copied as they are.
const COPIED: [&str; 13] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    "LICENSE",
];

/// Copies configuration and tokenizer of a Hugging Face directory; config.json names the new number format, where one
/// was asked for.
pub(super) fn copy_description(from: &Path, dir: &Path, dtype: Option<Format>) -> Result<()> {
    for name in COPIED {
        let source = from.join(name);
        if source.is_file() {
            std::fs::copy(&source, dir.join(name)).with_context(|| format!("{name} cannot be copied"))?;
        }
    }
    let text = std::fs::read_to_string(from.join("config.json")).context("config.json cannot be read")?;
    let mut config: Value = serde_json::from_str(&text).context("config.json is not JSON")?;
    if let Some(dtype) = dtype {
        set_dtype(&mut config, torch_name(dtype));
    }
    json(dir, "config.json", &config)
}

/// `dtype` in newer files, `torch_dtype` in older ones; the parts of multimodal models have their own.
fn set_dtype(config: &mut Value, dtype: &str) {
    let Some(object) = config.as_object_mut() else { return };
    let newer = object.contains_key("dtype");
    object.insert(if newer { "dtype" } else { "torch_dtype" }.into(), dtype.into());
    for part in ["text_config", "vision_config"] {
        let Some(part) = object.get_mut(part).and_then(Value::as_object_mut) else { continue };
        for key in ["dtype", "torch_dtype"] {
            if part.contains_key(key) {
                part.insert(key.into(), dtype.into());
            }
        }
    }
}

fn json(dir: &Path, name: &str, value: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).with_context(|| format!("{name} cannot be written"))?;
    std::fs::write(dir.join(name), text + "\n").with_context(|| format!("{name} cannot be written"))
}
