//! PEFT's two files of an adapter: what they say, and what is refused.

use crate::error::{Context, Error, Result};
use crate::model::decoder::Decoder;
use crate::model::names::Proj;
use crate::model::weights::Store;
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// A and B of one linear layer as they are filed.
pub struct Pair {
    pub layer: usize,
    pub proj: Proj,
    pub rank: usize,
    /// Factor on B A.
    pub scale: f64,
    /// `[rank, in]`
    pub a: Vec<f32>,
    /// `[out, rank]`, not scaled.
    pub b: Vec<f32>,
}

/// What a PEFT directory holds, in the order of blocks and of [`Proj::ALL`].
pub struct Filed {
    pub rank: usize,
    pub alpha: f64,
    pub pairs: Vec<Pair>,
}

impl Filed {
    /// Reads adapter_config.json and adapter_model.safetensors of `dir` for a decoder.
    ///
    /// # Errors
    /// What cannot be applied faithfully is refused with the reason (DoRA, modules_to_save, biases, tensors
    /// that match no linear layer, wrong shapes, another architecture, damaged files).
    pub fn read(dir: &Path, decoder: &Decoder) -> Result<Self> {
        Self::read_in(dir, decoder).map_err(|e| match e {
            Error::Failed(m) if !m.starts_with(&dir.display().to_string()) => {
                Error::Failed(format!("{}: {m}", dir.display()))
            }
            other => other,
        })
    }

    fn read_in(dir: &Path, decoder: &Decoder) -> Result<Self> {
        let path = dir.join("adapter_config.json");
        if !dir.is_dir() {
            crate::fail!("is not a directory; a PEFT adapter is one that holds adapter_config.json");
        }
        let text = std::fs::read_to_string(&path).context("adapter_config.json cannot be read")?;
        let settings = Settings::parse(&text)?;
        let weights = dir.join("adapter_model.safetensors");
        if !weights.is_file() {
            let pickled = if dir.join("adapter_model.bin").is_file() {
                "only adapter_model.bin is there, a pickled file that is not supported; save it as safetensors"
            } else {
                "adapter_model.safetensors is missing"
            };
            crate::fail!("{pickled}");
        }
        let store = Store::from_safetensors(&weights)?;
        let mut halves: BTreeMap<(usize, Proj), [Option<String>; 2]> = BTreeMap::new();
        for name in store.names() {
            let (layer, proj, half) = place(name, decoder.blocks.len())?;
            settings.expects(name, layer, proj)?;
            halves.entry((layer, proj)).or_default()[half] = Some(name.to_owned());
        }
        if halves.is_empty() {
            crate::fail!("adapter_model.safetensors holds no tensors");
        }
        settings.complete(&halves, decoder.blocks.len())?;
        let pairs: Result<_> =
            halves.iter().map(|(key, names)| settings.pair(&store, *key, names, decoder)).collect();
        let pairs = pairs?;
        Ok(Self { rank: settings.rank, alpha: settings.alpha, pairs })
    }
}

/// Splits `base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight` into block, layer and half (0 = A).
fn place(name: &str, blocks: usize) -> Result<(usize, Proj, usize)> {
    let unknown = || {
        Error::failed(format!(
            "tensor {name:?} fits no linear layer of this model; it cannot be applied faithfully"
        ))
    };
    let inner = name.strip_prefix("base_model.model.").ok_or_else(unknown)?;
    if inner.contains("lora_magnitude_vector") {
        crate::fail!("tensor {name:?} belongs to DoRA, which is not supported");
    }
    if inner.contains("lora_embedding") {
        crate::fail!("tensor {name:?} adapts the embedding, which is not supported");
    }
    let (module, half) = match inner {
        m if m.ends_with(".lora_A.weight") => (&m[..m.len() - 14], 0),
        m if m.ends_with(".lora_B.weight") => (&m[..m.len() - 14], 1),
        _ => return Err(unknown()),
    };
    let (_, rest) = module.split_once("layers.").ok_or_else(unknown)?;
    let mut parts = rest.split('.');
    let layer: usize = parts.next().and_then(|n| n.parse().ok()).ok_or_else(unknown)?;
    let (parent, module) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let proj =
        Proj::ALL.into_iter().find(|p| p.parent() == parent && p.module() == module).ok_or_else(unknown)?;
    if parts.next().is_some() {
        return Err(unknown());
    }
    if layer >= blocks {
        crate::fail!(
            "tensor {name:?} is for block {layer}, but this model has {blocks}; the adapter is for another model"
        );
    }
    Ok((layer, proj, half))
}

/// `target_modules`: names, or one regular expression over the whole module path.
enum Targets {
    Names(Vec<String>),
    Pattern(Regex),
}

struct Settings {
    rank: usize,
    alpha: f64,
    rslora: bool,
    targets: Targets,
    rank_pattern: Vec<(Regex, f64)>,
    alpha_pattern: Vec<(Regex, f64)>,
    only_layers: Option<Vec<usize>>,
}

impl Settings {
    fn parse(text: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(text)
            .map_err(|e| Error::failed(format!("adapter_config.json is not valid JSON ({e})")))?;
        let Some(o) = json.as_object() else { crate::fail!("adapter_config.json is not a JSON object") };
        refuse(o)?;
        let rank = o.get("r").and_then(Value::as_u64).filter(|r| (1..=65_536).contains(r));
        let Some(rank) = rank else { crate::fail!("adapter_config.json needs \"r\", a whole number from 1") };
        let alpha = o.get("lora_alpha").and_then(Value::as_f64).filter(|a| a.is_finite());
        let Some(alpha) = alpha else { crate::fail!("adapter_config.json needs \"lora_alpha\", a number") };
        let targets = match o.get("target_modules") {
            Some(Value::Array(list)) => {
                Targets::Names(list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
            }
            Some(Value::String(p)) if p == "all-linear" => {
                Targets::Names(Proj::ALL.iter().map(|p| p.module().to_owned()).collect())
            }
            Some(Value::String(p)) => Targets::Pattern(whole(p)?),
            _ => crate::fail!(
                "adapter_config.json needs \"target_modules\", a list of names or a regular expression"
            ),
        };
        let only_layers = match o.get("layers_to_transform") {
            None | Some(Value::Null) => None,
            Some(v) => Some(layer_list(v)?),
        };
        Ok(Self {
            rank: rank as usize,
            alpha,
            rslora: o.get("use_rslora").and_then(Value::as_bool).unwrap_or(false),
            targets,
            rank_pattern: patterns(o, "rank_pattern")?,
            alpha_pattern: patterns(o, "alpha_pattern")?,
            only_layers,
        })
    }

    fn targeted(&self, layer: usize, proj: Proj) -> bool {
        let path = module_path(layer, proj);
        let named = match &self.targets {
            Targets::Names(names) => names.iter().any(|n| path == *n || path.ends_with(&format!(".{n}"))),
            Targets::Pattern(p) => p.is_match(&path),
        };
        named && self.only_layers.as_ref().is_none_or(|l| l.contains(&layer))
    }

    /// A tensor that the configuration does not ask for means that the two files do not belong together.
    fn expects(&self, name: &str, layer: usize, proj: Proj) -> Result<()> {
        if self.targeted(layer, proj) {
            return Ok(());
        }
        crate::fail!(
            "tensor {name:?} is not among the configuration's target_modules; the files do not belong together"
        )
    }

    /// Every targeted layer must have both halves.
    fn complete(&self, halves: &BTreeMap<(usize, Proj), [Option<String>; 2]>, blocks: usize) -> Result<()> {
        for layer in 0..blocks {
            for proj in Proj::ALL.into_iter().filter(|p| self.targeted(layer, *p)) {
                let found = halves.get(&(layer, proj));
                for (half, letter) in [(0, 'A'), (1, 'B')] {
                    if found.is_none_or(|f| f[half].is_none()) {
                        crate::fail!(
                            "{}.lora_{letter}.weight is missing; the adapter is incomplete",
                            module_path(layer, proj)
                        );
                    }
                }
            }
        }
        Ok(())
    }

    /// Loads A and B.
    fn pair(
        &self,
        store: &Store,
        (layer, proj): (usize, Proj),
        names: &[Option<String>; 2],
        decoder: &Decoder,
    ) -> Result<Pair> {
        let [Some(a_name), Some(b_name)] = names else {
            crate::fail!("{} has only one of lora_A and lora_B", module_path(layer, proj))
        };
        let path = module_path(layer, proj);
        let pick = |list: &[(Regex, f64)]| list.iter().find(|(r, _)| r.is_match(&path)).map(|(_, x)| *x);
        let rank = pick(&self.rank_pattern).map_or(self.rank, |r| r as usize);
        let alpha = pick(&self.alpha_pattern).unwrap_or(self.alpha);
        let scale = if self.rslora { alpha / (rank as f64).sqrt() } else { alpha / rank as f64 };
        let (out, inp) = decoder.blocks[layer].linear(proj).w.shape();
        let check = |name: &str, shape: [usize; 2]| -> Result<Vec<f32>> {
            let stored = store.find(name)?;
            if stored.shape != shape {
                crate::fail!(
                    "tensor {name:?} has shape {:?}, this model needs {shape:?}; the adapter is for another model or rank",
                    stored.shape
                );
            }
            let xs = stored.floats()?;
            if xs.iter().any(|x| !x.is_finite()) {
                crate::fail!("tensor {name:?} holds NaN or infinity; the adapter is damaged");
            }
            Ok(xs)
        };
        let a = check(a_name, [rank, inp])?;
        let b = check(b_name, [out, rank])?;
        Ok(Pair { layer, proj, rank, scale, a, b })
    }
}

fn module_path(layer: usize, proj: Proj) -> String {
    format!("model.layers.{layer}.{}.{}", proj.parent(), proj.module())
}

fn whole(pattern: &str) -> Result<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|_| {
        Error::failed(format!(
            "the pattern {pattern:?} in adapter_config.json is no valid regular expression"
        ))
    })
}

/// PEFT's keys match where the module path ends in them: `^(.*\.)?key$`.
fn patterns(o: &Map<String, Value>, key: &str) -> Result<Vec<(Regex, f64)>> {
    let map = match o.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(map)) => map,
        Some(_) => crate::fail!("adapter_config.json's {key} is not an object of patterns and numbers"),
    };
    map.iter()
        .map(|(pattern, v)| {
            let number = v.as_f64().filter(|x| x.is_finite() && *x > 0.0);
            let Some(number) = number else {
                crate::fail!("adapter_config.json's {key} has {pattern:?}: {v}, a positive number is needed")
            };
            Ok((
                whole(&format!(r"(?:.*\.)?(?:{})", pattern.trim_start_matches('^').trim_end_matches('$')))?,
                number,
            ))
        })
        .collect()
}

fn layer_list(v: &Value) -> Result<Vec<usize>> {
    let one = |v: &Value| v.as_u64().map(|u| u as usize);
    let list = match v {
        Value::Array(items) => items.iter().map(one).collect::<Option<Vec<_>>>(),
        other => one(other).map(|n| vec![n]),
    };
    list.ok_or_else(|| {
        Error::failed("adapter_config.json's layers_to_transform is not a list of whole numbers")
    })
}

/// What cannot be applied faithfully.
fn refuse(o: &Map<String, Value>) -> Result<()> {
    let kind = o.get("peft_type").and_then(Value::as_str).unwrap_or("missing");
    if kind != "LORA" {
        crate::fail!("adapter_config.json has peft_type {kind}; only LORA is supported");
    }
    let set = |key: &str| match o.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(a)) => !a.is_empty(),
        Some(Value::Object(m)) => !m.is_empty(),
        Some(_) => true,
    };
    let refused = [
        ("use_dora", "DoRA"),
        ("modules_to_save", "modules saved whole (modules_to_save)"),
        ("trainable_token_indices", "trained token embeddings (trainable_token_indices)"),
        ("target_parameters", "adapted bare parameters (target_parameters)"),
        ("lora_bias", "biases in LoRA layers (lora_bias)"),
        ("fan_in_fan_out", "transposed weights (fan_in_fan_out)"),
        ("layer_replication", "replicated layers (layer_replication)"),
        ("alora_invocation_tokens", "activated LoRA (alora_invocation_tokens)"),
        ("use_qalora", "QA-LoRA (use_qalora)"),
    ];
    for (key, what) in refused {
        if set(key) {
            crate::fail!("the adapter uses {what}, which is not supported");
        }
    }
    match o.get("bias").and_then(Value::as_str) {
        None | Some("none") => Ok(()),
        Some(other) => Err(Error::failed(format!(
            "the adapter trains biases (bias = {other:?}), which is not supported"
        ))),
    }
}
