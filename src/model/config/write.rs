//! A configuration as the `config.json` that the reference library reads.

use super::{Activation, Config, Rope, RopeScaling};
use crate::error::Result;
use serde_json::{Map, Value, json};

/// What a `config.json` says beside the decoder's own numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside {
    pub vocabulary: usize,
    /// No separate unembedding.
    pub tied: bool,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub pad: Option<u32>,
    /// float32, float16 or bfloat16.
    pub dtype: &'static str,
    /// Linear layers of the file that have biases: those of q, k and v, of the output projection, of the MLP.
    pub biases: [bool; 3],
}

impl Config {
    /// The `config.json` of the decoder, with the class that loads it (transformers from 4.50).
    ///
    /// # Errors
    /// What no class of the reference library can express: a combination of biases, of windows or a scaling of rotary
    /// frequencies that only GGUF files have.
    pub fn to_json(&self, beside: &Beside) -> Result<Value> {
        let windows: Vec<Option<usize>> = self.layers.iter().map(|l| l.window).collect();
        // llama.cpp calls Mistral's models llama; only Mistral's class has a window.
        let architecture = match self.architecture.as_str() {
            "llama" if windows.iter().any(Option::is_some) => "mistral",
            other => other,
        };
        let (class, model_type) = match architecture {
            "llama" => ("LlamaForCausalLM", "llama"),
            "mistral" => ("MistralForCausalLM", "mistral"),
            "qwen2" => ("Qwen2ForCausalLM", "qwen2"),
            "qwen3" => ("Qwen3ForCausalLM", "qwen3"),
            "gemma3" => ("Gemma3ForCausalLM", "gemma3_text"),
            other => crate::fail!("a config.json for the architecture {other:?} cannot be written"),
        };
        let mut o = Map::new();
        let mut set = |key: &str, value: Value| drop(o.insert(key.to_owned(), value));
        set("architectures", json!([class]));
        set("model_type", model_type.into());
        set("hidden_size", self.hidden.into());
        set("intermediate_size", self.intermediate.into());
        set("num_hidden_layers", self.layers.len().into());
        set("num_attention_heads", self.heads.into());
        set("num_key_value_heads", self.kv_heads.into());
        set("head_dim", self.head_dim.into());
        set("rms_norm_eps", self.eps.into());
        set("max_position_embeddings", self.max_positions.into());
        set("vocab_size", beside.vocabulary.into());
        set("tie_word_embeddings", beside.tied.into());
        set("attention_dropout", 0.0.into());
        set("initializer_range", 0.02.into());
        set("use_cache", true.into());
        set("torch_dtype", beside.dtype.into());
        for (key, id) in [("bos", beside.bos), ("eos", beside.eos), ("pad", beside.pad)] {
            if let Some(id) = id {
                set(&format!("{key}_token_id"), id.into());
            }
        }
        let activation = match self.activation {
            Activation::Silu => "silu",
            Activation::GeluTanh => "gelu_pytorch_tanh",
        };
        set(if architecture == "gemma3" { "hidden_activation" } else { "hidden_act" }, activation.into());
        self.biases(architecture, beside.biases, &mut set)?;
        self.ropes(architecture, &mut set)?;
        self.windows(architecture, &windows, &mut set)?;
        if architecture == "gemma3" {
            // Stored as its power of -1/2; whole in every model.
            let scalar = self.attention_scale.powi(-2);
            let whole = (scalar - scalar.round()).abs() < 1e-6;
            set("query_pre_attn_scalar", if whole { json!(scalar.round() as u64) } else { json!(scalar) });
            set("attn_logit_softcapping", self.attention_softcap.into());
            set("final_logit_softcapping", self.final_softcap.into());
        }
        Ok(Value::Object(o))
    }

    fn biases(
        &self,
        architecture: &str,
        [qkv, o, mlp]: [bool; 3],
        set: &mut dyn FnMut(&str, Value),
    ) -> Result<()> {
        let fits = match architecture {
            "qwen2" => qkv && !o && !mlp,
            "mistral" => !qkv && !o && !mlp,
            "llama" => qkv == o,
            _ => qkv == o && !mlp,
        };
        if !fits {
            crate::fail!(
                "the file's biases (q, k, v: {qkv}; output projection: {o}; MLP: {mlp}) are none that a {architecture} \
                 model of the reference library can have"
            );
        }
        if !matches!(architecture, "qwen2" | "mistral") {
            set("attention_bias", qkv.into());
        }
        if architecture == "llama" {
            set("mlp_bias", mlp.into());
        }
        Ok(())
    }

    fn ropes(&self, architecture: &str, set: &mut dyn FnMut(&str, Value)) -> Result<()> {
        let Some(global) = self.ropes.first() else { crate::fail!("the model has no rotary embeddings") };
        set("rope_theta", global.theta.into());
        set("rope_scaling", scaling(global, self.head_dim)?);
        if let ("gemma3", Some(local)) = (architecture, self.ropes.get(1)) {
            if local.scaling != RopeScaling::None {
                crate::fail!(
                    "scaled rotary frequencies of the local layers cannot be written to config.json"
                );
            }
            set("rope_local_base_freq", local.theta.into());
        }
        Ok(())
    }

    fn windows(
        &self,
        architecture: &str,
        windows: &[Option<usize>],
        set: &mut dyn FnMut(&str, Value),
    ) -> Result<()> {
        let window = windows.iter().flatten().next().copied();
        if windows.iter().flatten().any(|w| Some(*w) != window) {
            crate::fail!("its layers have windows of different widths, which config.json cannot say");
        }
        match (architecture, window) {
            ("llama", _) => {}
            ("mistral", _) if window.is_some() && windows.contains(&None) => {
                crate::fail!("only some of its layers have a window, which a mistral config.json cannot say")
            }
            ("mistral", _) => set("sliding_window", window.into()),
            _ => {
                let kind =
                    |w: &Option<usize>| if w.is_some() { "sliding_attention" } else { "full_attention" };
                set("layer_types", windows.iter().map(kind).collect::<Vec<_>>().into());
                set("sliding_window", window.into());
                if architecture != "gemma3" {
                    set("use_sliding_window", window.is_some().into());
                    let first = windows.iter().position(Option::is_some).unwrap_or(windows.len());
                    set("max_window_layers", first.into());
                }
            }
        }
        Ok(())
    }
}

/// The `rope_scaling` object.
fn scaling(rope: &Rope, head_dim: usize) -> Result<Value> {
    let llama3 = |factor: f64, low: f64, high: f64, original: f64| {
        json!({"rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
               "original_max_position_embeddings": original as u64})
    };
    Ok(match &rope.scaling {
        RopeScaling::None => Value::Null,
        RopeScaling::Linear(factor) => json!({"rope_type": "linear", "factor": factor}),
        RopeScaling::Llama3 { factor, low, high, original } => llama3(*factor, *low, *high, *original),
        RopeScaling::Factors(by) if by.iter().all(|f| *f == 1.0) => Value::Null,
        RopeScaling::Factors(by) => {
            // What converters make of a llama3 scaling, whose other three numbers are not in the file: those of Llama
            // 3.1 to 3.3, or other lengths in their place.
            let factor = f64::from(by.iter().copied().fold(1.0, f32::max));
            let want = rope.inverse_frequencies(head_dim);
            let lengths = [8192].into_iter().chain((4..=20).map(|k| 1 << k));
            let fits = |original: &f64| {
                let scaling = RopeScaling::Llama3 { factor, low: 1.0, high: 4.0, original: *original };
                let got = Rope { theta: rope.theta, scaling }.inverse_frequencies(head_dim);
                want.iter().zip(&got).all(|(a, b)| (a - b).abs() <= 1e-4 * a.abs())
            };
            match lengths.map(f64::from).find(fits) {
                Some(original) => llama3(factor, 1.0, 4.0, original),
                None => crate::fail!(
                    "its factors of rotary frequencies (rope_freqs.weight) are not those of a llama3 scaling, and \
                     config.json has no other way to say them"
                ),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models");
        let mut seen = 0;
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(path.join("config.json")).unwrap();
            let config = Config::from_json(&text).unwrap();
            let has = |b| b == super::super::Biases::Always;
            let biases = [has(config.qkv_bias), has(config.o_bias), has(config.mlp_bias)];
            let beside = Beside { vocabulary: 300, dtype: "float32", biases, ..Beside::default() };
            let written = config.to_json(&beside).unwrap();
            let read = Config::from_json(&written.to_string()).unwrap();
            assert_eq!(read, Config { title: None, ..config }, "{}", path.display());
            seen += 1;
        }
        assert_eq!(seen, 10);
    }

    #[test]
    fn llama_31s_factors_are_recognised_and_others_refused() {
        let theta = 5e5;
        let scaling3 = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
        let plain = Rope { theta, scaling: RopeScaling::None }.inverse_frequencies(64);
        let scaled = Rope { theta, scaling: scaling3 }.inverse_frequencies(64);
        let by: Vec<f32> = plain.iter().zip(&scaled).map(|(a, b)| (a / b) as f32).collect();
        let of = |by: Vec<f32>| scaling(&Rope { theta, scaling: RopeScaling::Factors(by) }, 64);
        assert_eq!(of(by.clone()).unwrap()["factor"], 8.0);
        assert_eq!(of(vec![1.0; 32]).unwrap(), Value::Null);
        let mut other = by;
        other[20] *= 1.1;
        assert!(of(other).unwrap_err().to_string().contains("rope_freqs.weight"));
    }
}
