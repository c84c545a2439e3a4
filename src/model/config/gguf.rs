//! Configuration from a GGUF file's metadata.

use super::{Activation, Biases, Config, LayerKind, Rope, RopeScaling};
use crate::error::{Error, Result};
use crate::model::gguf::Gguf;

impl Config {
    /// Reads the metadata (and `rope_freqs.weight`, where there is one) of a GGUF file.
    ///
    /// # Errors
    /// An unsupported architecture or feature (named), or a missing or impossible value.
    pub fn from_gguf(file: &Gguf) -> Result<Self> {
        let Some(named) = file.str("general.architecture") else {
            crate::fail!("the file names no general.architecture; it is not a language model");
        };
        let architecture = match named {
            "llama" | "qwen2" | "qwen3" | "gemma3" | "mistral" => named,
            other => crate::fail!(
                "the architecture {other:?} is not supported; mistral, qwen2, qwen3, llama and gemma3 are"
            ),
        };
        let keys = Keys { file, architecture };
        if keys.uint("expert_count").unwrap_or(0) > 0 {
            crate::fail!("mixture-of-experts models (expert_count) are not supported");
        }
        build(&keys)?.checked()
    }
}

struct Keys<'a> {
    file: &'a Gguf,
    architecture: &'a str,
}

impl Keys<'_> {
    fn uint(&self, key: &str) -> Option<usize> {
        self.file.uint(&format!("{}.{key}", self.architecture)).and_then(|u| usize::try_from(u).ok())
    }

    fn need(&self, key: &str) -> Result<usize> {
        self.uint(key).ok_or_else(|| {
            Error::failed(format!("the file lacks {}.{key}; fetch it again", self.architecture))
        })
    }

    fn float(&self, key: &str) -> Option<f64> {
        self.file.float(&format!("{}.{key}", self.architecture))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.file.str(&format!("{}.{key}", self.architecture))
    }
}

fn build(keys: &Keys) -> Result<Config> {
    let gemma = keys.architecture == "gemma3";
    let hidden = keys.need("embedding_length")?;
    let count = keys.need("block_count")?;
    if count > super::LIMIT_LAYERS {
        crate::fail!("the file states {count} blocks; that is no language model");
    }
    let heads = keys.need("attention.head_count")?;
    let head_dim = keys.uint("attention.key_length").unwrap_or(hidden.checked_div(heads).unwrap_or(0));
    if keys.uint("attention.value_length").is_some_and(|v| v != head_dim) {
        crate::fail!("keys and values of different widths are not supported");
    }
    if keys.uint("rope.dimension_count").is_some_and(|d| d != head_dim) {
        crate::fail!("partial rotary embeddings (rope.dimension_count) are not supported");
    }
    // llama.cpp's rule for Gemma 3: the 27B model scales by hidden / heads, the others by the head dimension.
    let scalar = if gemma && count == 62 { hidden as f64 / heads as f64 } else { head_dim as f64 };
    Ok(Config {
        architecture: keys.architecture.to_owned(),
        hidden,
        intermediate: keys.need("feed_forward_length")?,
        heads,
        kv_heads: keys.uint("attention.head_count_kv").unwrap_or(heads),
        head_dim,
        eps: keys.float("attention.layer_norm_rms_epsilon").ok_or_else(|| {
            Error::failed(format!("the file lacks {}.attention.layer_norm_rms_epsilon", keys.architecture))
        })?,
        activation: if gemma { Activation::GeluTanh } else { Activation::Silu },
        embedding_scale: gemma.then(|| (hidden as f64).sqrt()),
        // Converters add the 1 to Gemma's norm weights.
        norm_plus_one: false,
        post_norms: gemma,
        qk_norm: gemma || keys.architecture == "qwen3",
        qkv_bias: if keys.architecture == "qwen2" { Biases::Always } else { Biases::AsFiled },
        o_bias: Biases::AsFiled,
        mlp_bias: Biases::AsFiled,
        attention_scale: scalar.powf(-0.5),
        attention_softcap: keys.float("attn_logit_softcapping").filter(|c| *c > 0.0),
        final_softcap: keys.float("final_logit_softcapping").filter(|c| *c > 0.0),
        layers: layer_kinds(keys, count)?,
        ropes: ropes(keys)?,
        max_positions: keys.uint("context_length").unwrap_or(8192),
        title: keys.file.str("general.name").map(str::to_owned),
    })
}

/// Gemma's files may name neither pattern nor local rope base: every 6th layer is global then.
fn layer_kinds(keys: &Keys, count: usize) -> Result<Vec<LayerKind>> {
    let gemma = keys.architecture == "gemma3";
    let window = keys.uint("attention.sliding_window").filter(|w| *w > 0);
    let pattern_key = format!("{}.attention.sliding_window_pattern", keys.architecture);
    let slides: Vec<bool> = if let Some(listed) = keys.file.bools(&pattern_key) {
        if listed.len() != count {
            crate::fail!("sliding_window_pattern names {} layers of {count}", listed.len());
        }
        listed.to_vec()
    } else if gemma {
        let pattern = keys.uint("attention.sliding_window_pattern").unwrap_or(6).max(1);
        (0..count).map(|i| (i + 1) % pattern != 0).collect()
    } else {
        // Only Mistral 7B v0.1 states a window in a llama file, and it holds for all layers.
        vec![true; count]
    };
    Ok(slides
        .into_iter()
        .map(|s| LayerKind { window: window.filter(|_| s), rope: usize::from(gemma && s) })
        .collect())
}

fn ropes(keys: &Keys) -> Result<Vec<Rope>> {
    let gemma = keys.architecture == "gemma3";
    let theta = keys.float("rope.freq_base").unwrap_or(if gemma { 1e6 } else { 1e4 });
    let factor = keys.float("rope.scaling.factor").filter(|f| *f > 0.0);
    let scaling = match (keys.text("rope.scaling.type").unwrap_or("none"), factor) {
        ("none", _) => keys
            .float("rope.scale_linear")
            .filter(|f| *f > 0.0)
            .map_or(RopeScaling::None, RopeScaling::Linear),
        ("linear", Some(f)) => RopeScaling::Linear(f),
        (other, _) => crate::fail!("rope scaling {other:?} is not supported; none, linear and llama3 are"),
    };
    let scaling = match keys.file.tensors.get("rope_freqs.weight") {
        None => scaling,
        Some(place) => {
            let Some(map) = &keys.file.map else { crate::fail!("rope_freqs.weight has no data") };
            RopeScaling::Factors(
                place.format.widen_all(&map[place.range.clone()], place.shape.iter().product())?,
            )
        }
    };
    let mut all = vec![Rope { theta, scaling }];
    if gemma {
        let local = keys.float("rope.freq_base_swa").or(keys.float("rope.local.freq_base")).unwrap_or(1e4);
        all.push(Rope { theta: local, scaling: RopeScaling::None });
    }
    Ok(all)
}
