//! Configuration from a Hugging Face `config.json`.

use super::{Activation, Biases, Config, LayerKind, Rope, RopeScaling};
use crate::error::{Error, Result};
use serde_json::{Map, Value};

/// Keys of one JSON object, each fault named.
struct Keys<'a>(&'a Map<String, Value>);

impl<'a> Keys<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|v| !v.is_null())
    }

    fn uint_or(&self, key: &str, default: usize) -> Result<usize> {
        match self.get(key) {
            None => Ok(default),
            Some(v) => v
                .as_u64()
                .and_then(|u| usize::try_from(u).ok())
                .ok_or_else(|| wrong(key, v, "a whole number")),
        }
    }

    fn uint(&self, key: &str) -> Result<usize> {
        if self.get(key).is_none() {
            crate::fail!("config.json lacks {key:?}; fetch the model again");
        }
        self.uint_or(key, 0)
    }

    fn float_or(&self, key: &str, default: f64) -> Result<f64> {
        match self.get(key) {
            None => Ok(default),
            Some(v) => v.as_f64().ok_or_else(|| wrong(key, v, "a number")),
        }
    }

    fn float(&self, key: &str) -> Result<Option<f64>> {
        self.get(key).map(|v| v.as_f64().ok_or_else(|| wrong(key, v, "a number"))).transpose()
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Value::as_str)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(Value::as_bool)
    }

    fn object(&self, key: &str) -> Option<Keys<'a>> {
        self.get(key).and_then(Value::as_object).map(Keys)
    }
}

fn wrong(key: &str, value: &Value, wanted: &str) -> Error {
    let shown: String = value.to_string().chars().take(60).collect();
    Error::failed(format!("config.json has {key:?}: {shown}, where {wanted} is needed"))
}

/// Values that a `config.json` may leave out (transformers' own defaults of that architecture).
struct Defaults {
    heads: usize,
    kv_heads: Option<usize>,
    head_dim: Option<usize>,
    hidden: Option<usize>,
    intermediate: Option<usize>,
    layers: Option<usize>,
    eps: f64,
    activation: &'static str,
    max_positions: usize,
    sliding_window: Option<usize>,
    rope_theta: f64,
}

const LLAMA_LIKE: Defaults = Defaults {
    heads: 32,
    kv_heads: None,
    head_dim: None,
    hidden: None,
    intermediate: None,
    layers: None,
    eps: 1e-6,
    activation: "silu",
    max_positions: 32768,
    sliding_window: None,
    rope_theta: 10_000.0,
};

/// Gemma3TextConfig's defaults: the multimodal checkpoints' `text_config` names only what differs.
const GEMMA3: Defaults = Defaults {
    heads: 8,
    kv_heads: Some(4),
    head_dim: Some(256),
    hidden: Some(2304),
    intermediate: Some(9216),
    layers: Some(26),
    eps: 1e-6,
    activation: "gelu_pytorch_tanh",
    max_positions: 131_072,
    sliding_window: Some(4096),
    rope_theta: 1_000_000.0,
};

impl Config {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// Not JSON, an unsupported architecture or feature (named), or a missing or impossible value.
    pub fn from_json(text: &str) -> Result<Self> {
        let root: Value = serde_json::from_str(text)
            .map_err(|e| Error::failed(format!("config.json is not valid JSON ({e})")))?;
        let Some(root) = root.as_object() else { crate::fail!("config.json is not a JSON object") };
        let mut keys = Keys(root);
        let named = keys.text("model_type").unwrap_or_default();
        let architecture = match named {
            "mistral" | "qwen2" | "qwen3" | "llama" => named,
            "gemma3_text" => "gemma3",
            "gemma3" => {
                if let Some(text) = keys.object("text_config") {
                    keys = text;
                }
                "gemma3"
            }
            "" => crate::fail!("config.json names no model_type; is it a language model's directory?"),
            other => crate::fail!(
                "the architecture {other:?} is not supported; mistral, qwen2, qwen3, llama and gemma3 are"
            ),
        };
        refuse_unsupported(&keys)?;
        build(architecture, &keys)?.checked()
    }
}

fn refuse_unsupported(keys: &Keys) -> Result<()> {
    if keys.object("quantization_config").is_some() {
        crate::fail!(
            "the checkpoint is quantised with \"quantization_config\", which is not supported; \
             use the unquantised checkpoint or a GGUF file"
        );
    }
    for key in ["num_local_experts", "num_experts"] {
        if keys.uint_or(key, 0)? > 0 {
            crate::fail!("mixture-of-experts models ({key:?}) are not supported");
        }
    }
    if keys.flag("use_bidirectional_attention") == Some(true) {
        crate::fail!("bidirectional attention is not supported; the lens is for causal language models");
    }
    Ok(())
}

fn build(architecture: &str, keys: &Keys) -> Result<Config> {
    let gemma = architecture == "gemma3";
    let defaults = if gemma { GEMMA3 } else { LLAMA_LIKE };
    let or = |key: &str, default: Option<usize>| match default {
        Some(d) => keys.uint_or(key, d),
        None => keys.uint(key),
    };
    let hidden = or("hidden_size", defaults.hidden)?;
    let count = or("num_hidden_layers", defaults.layers)?;
    if count > super::LIMIT_LAYERS {
        crate::fail!("config.json has num_hidden_layers {count}; that is no language model");
    }
    let heads = keys.uint_or("num_attention_heads", defaults.heads)?;
    let kv_heads = match (keys.get("num_key_value_heads"), architecture) {
        // Configurations' own defaults where the key is missing: mistral 8, otherwise one a head.
        (None, "mistral") => 8,
        _ => keys.uint_or("num_key_value_heads", defaults.kv_heads.unwrap_or(heads))?,
    };
    let default_dim = defaults.head_dim.or(if architecture == "qwen3" { Some(128) } else { None });
    let head_dim = keys.uint_or("head_dim", default_dim.unwrap_or(hidden.checked_div(heads).unwrap_or(0)))?;
    let activation = activation(
        keys.text("hidden_activation").or(keys.text("hidden_act")).unwrap_or(defaults.activation),
    )?;
    let scalar = keys.float_or("query_pre_attn_scalar", if gemma { 256.0 } else { head_dim as f64 })?;
    Ok(Config {
        architecture: architecture.to_owned(),
        hidden,
        intermediate: or("intermediate_size", defaults.intermediate)?,
        heads,
        kv_heads,
        head_dim,
        eps: keys.float_or("rms_norm_eps", defaults.eps)?,
        activation,
        embedding_scale: gemma.then(|| (hidden as f64).sqrt()),
        norm_plus_one: gemma,
        post_norms: gemma,
        qk_norm: gemma || architecture == "qwen3",
        qkv_bias: biases(architecture == "qwen2" || keys.flag("attention_bias") == Some(true)),
        o_bias: biases(architecture != "qwen2" && keys.flag("attention_bias") == Some(true)),
        mlp_bias: biases(architecture == "llama" && keys.flag("mlp_bias") == Some(true)),
        attention_scale: scalar.powf(-0.5),
        attention_softcap: keys.float("attn_logit_softcapping")?,
        final_softcap: keys.float("final_logit_softcapping")?,
        layers: layer_kinds(architecture, keys, &defaults, count)?,
        ropes: ropes(gemma, keys, &defaults)?,
        max_positions: keys.uint_or("max_position_embeddings", defaults.max_positions)?,
        title: keys.text("_name_or_path").filter(|s| !s.is_empty()).map(str::to_owned),
    })
}

fn biases(there: bool) -> Biases {
    if there { Biases::Always } else { Biases::Never }
}

fn activation(name: &str) -> Result<Activation> {
    match name {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        other => Err(Error::failed(format!(
            "the activation {other:?} is not supported; silu and gelu_pytorch_tanh are"
        ))),
    }
}

fn layer_kinds(architecture: &str, keys: &Keys, defaults: &Defaults, count: usize) -> Result<Vec<LayerKind>> {
    let window = match keys.get("sliding_window") {
        Some(_) => Some(keys.uint("sliding_window")?),
        // An explicit null means none; a missing key means the architecture's default.
        None => defaults.sliding_window.filter(|_| !keys.0.contains_key("sliding_window")),
    };
    if window == Some(0) {
        crate::fail!("config.json has a sliding_window of 0; a position must at least see itself");
    }
    let gemma = architecture == "gemma3";
    let slides: Vec<bool> = if let Some(types) = keys.get("layer_types").and_then(Value::as_array) {
        if types.len() != count {
            crate::fail!("config.json names {} layer_types for {count} layers", types.len());
        }
        types
            .iter()
            .map(|t| match t.as_str() {
                Some("sliding_attention") => Ok(true),
                Some("full_attention") => Ok(false),
                _ => Err(Error::failed(format!("the layer type {t} is not supported"))),
            })
            .collect::<Result<_>>()?
    } else if gemma {
        let pattern =
            keys.uint_or("sliding_window_pattern", keys.uint_or("_sliding_window_pattern", 6)?)?.max(1);
        (0..count).map(|i| (i + 1) % pattern != 0).collect()
    } else if architecture == "mistral" {
        vec![true; count]
    } else if keys.flag("use_sliding_window") == Some(true) {
        let from = keys.uint_or("max_window_layers", 28)?;
        (0..count).map(|i| i >= from).collect()
    } else {
        vec![false; count]
    };
    Ok(slides
        .into_iter()
        .map(|s| LayerKind { window: window.filter(|_| s), rope: usize::from(gemma && s) })
        .collect())
}

/// The frequencies for global layers, and for Gemma those for sliding layers after them.
fn ropes(gemma: bool, keys: &Keys, defaults: &Defaults) -> Result<Vec<Rope>> {
    let both = keys.object("rope_parameters");
    let part = |name: &str| both.as_ref().and_then(|b| b.object(name));
    let global = match part("full_attention").or_else(|| both.as_ref().map(|b| Keys(b.0))) {
        Some(k) => Rope { theta: k.float_or("rope_theta", defaults.rope_theta)?, scaling: scaling(&k)? },
        None => Rope {
            theta: keys.float_or("rope_theta", defaults.rope_theta)?,
            scaling: keys.object("rope_scaling").map_or(Ok(RopeScaling::None), |k| scaling(&k))?,
        },
    };
    if !gemma {
        return Ok(vec![global]);
    }
    let local = match part("sliding_attention") {
        Some(k) => Rope { theta: k.float_or("rope_theta", 10_000.0)?, scaling: scaling(&k)? },
        None => Rope { theta: keys.float_or("rope_local_base_freq", 10_000.0)?, scaling: RopeScaling::None },
    };
    Ok(vec![global, local])
}

fn scaling(keys: &Keys) -> Result<RopeScaling> {
    let positive = |key: &str| -> Result<f64> {
        match keys.float(key)? {
            Some(x) if x > 0.0 => Ok(x),
            _ => Err(Error::failed(format!("config.json's rope scaling lacks a positive {key:?}"))),
        }
    };
    match keys.text("rope_type").or(keys.text("type")).unwrap_or("default") {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear(positive("factor")?)),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: positive("factor")?,
            low: positive("low_freq_factor")?,
            high: positive("high_freq_factor")?,
            original: positive("original_max_position_embeddings")?,
        }),
        other => Err(Error::failed(format!(
            "rope scaling {other:?} is not supported; default, linear and llama3 are"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_what_is_refused() {
        let err = |t: &str| Config::from_json(t).unwrap_err().to_string();
        assert!(err("{").contains("not valid JSON"));
        assert!(err("[]").contains("not a JSON object"));
        assert!(err(r#"{"model_type":"mamba"}"#).contains("\"mamba\""));
        assert!(err(r#"{"model_type":"llama"}"#).contains("hidden_size"));
        let tiny = |extra: &str| {
            format!(
                r#"{{"model_type":"llama","hidden_size":8,"intermediate_size":8,"num_hidden_layers":2,
                "num_attention_heads":2{extra}}}"#
            )
        };
        assert!(Config::from_json(&tiny("")).is_ok());
        assert!(err(&tiny(r#","rope_scaling":{"rope_type":"yarn","factor":2}"#)).contains("\"yarn\""));
        assert!(err(&tiny(r#","num_key_value_heads":3"#)).contains("evenly"));
        assert!(err(&tiny(r#","num_key_value_heads":0"#)).contains("key/value"));
        assert!(err(&tiny(r#","quantization_config":{}"#)).contains("quantised"));
        assert!(err(&tiny(r#","rms_norm_eps":"x""#)).contains("rms_norm_eps"));
    }

    #[test]
    fn sliding_layers_by_architecture() {
        let base = r#""hidden_size":8,"intermediate_size":8,"num_hidden_layers":7,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":4,"sliding_window":4"#;
        let windows = |head: &str| -> Vec<bool> {
            let c = Config::from_json(&format!("{{{head},{base}}}")).unwrap();
            c.layers.iter().map(|l| l.window.is_some()).collect()
        };
        assert_eq!(windows(r#""model_type":"mistral""#), [true; 7]);
        assert_eq!(windows(r#""model_type":"qwen2""#), [false; 7]);
        assert_eq!(
            windows(r#""model_type":"qwen2","use_sliding_window":true,"max_window_layers":5"#),
            [false, false, false, false, false, true, true]
        );
        assert_eq!(windows(r#""model_type":"gemma3_text""#), [true, true, true, true, true, false, true]);
    }
}
