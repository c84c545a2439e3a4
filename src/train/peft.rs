//! PEFT's two files, and the optimiser's state in the same form: exact f32 numbers.

use super::durable::Named;
use super::lora::{LoraParams, Site};
use super::optimiser::AdamW;
use crate::error::{Context, Error, Result};
use crate::model::format::bytes_of;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize};
use serde_json::{Value, json};
use std::collections::HashMap;

pub const CONFIG: &str = "adapter_config.json";
pub const WEIGHTS: &str = "adapter_model.safetensors";
pub const OPTIMISER: &str = "optimizer.safetensors";

/// The version of PEFT whose configuration is written.
const PEFT_VERSION: &str = "0.18.1";

/// adapter_config.json and adapter_model.safetensors. `base` is what PEFT loads the model by.
///
/// # Errors
/// More numbers than a file can hold.
pub fn files(params: &LoraParams, base: &str, dropout: f64) -> Result<Vec<Named>> {
    Ok(vec![(CONFIG, config(params, base, dropout)), (WEIGHTS, weights(params)?)])
}

/// All keys that PEFT writes, in its (alphabetical) order.
fn config(params: &LoraParams, base: &str, dropout: f64) -> Vec<u8> {
    // Python's int where it is one, so that the file is the one that PEFT would write.
    let whole = params.alpha.fract() == 0.0 && params.alpha.abs() < 1e15;
    let alpha = if whole { json!(params.alpha as i64) } else { json!(params.alpha) };
    let targets: Vec<&str> = params.targets().iter().map(|p| p.module()).collect();
    let config = json!({
        "alora_invocation_tokens": null, "alpha_pattern": {}, "arrow_config": null, "auto_mapping": null,
        "base_model_name_or_path": base, "bias": "none", "corda_config": null, "ensure_weight_tying": false,
        "eva_config": null, "exclude_modules": null, "fan_in_fan_out": false, "inference_mode": true,
        "init_lora_weights": true, "layer_replication": null, "layers_pattern": null, "layers_to_transform": null,
        "loftq_config": {}, "lora_alpha": alpha, "lora_bias": false, "lora_dropout": dropout,
        "megatron_config": null, "megatron_core": "megatron.core", "modules_to_save": null, "peft_type": "LORA",
        "peft_version": PEFT_VERSION, "qalora_group_size": 16, "r": params.rank, "rank_pattern": {},
        "revision": null, "target_modules": targets, "target_parameters": null, "task_type": "CAUSAL_LM",
        "trainable_token_indices": null, "use_dora": false, "use_qalora": false, "use_rslora": false,
    });
    pretty(&config)
}

/// Indented, with a final newline.
pub fn pretty(value: &Value) -> Vec<u8> {
    let mut text = format!("{value:#}");
    text.push('\n');
    text.into_bytes()
}

/// PEFT's name of a site's A (`half` 0) or B.
fn name(site: &Site, half: usize) -> String {
    let letter = ["A", "B"][half];
    let (parent, module) = (site.proj.parent(), site.proj.module());
    format!("base_model.model.model.layers.{}.{parent}.{module}.lora_{letter}.weight", site.layer)
}

/// Every matrix: name, shape, place among the values.
fn matrices(params: &LoraParams) -> impl Iterator<Item = (String, Vec<usize>, std::ops::Range<usize>)> {
    let rank = params.rank;
    params.sites.iter().flat_map(move |s| {
        [(name(s, 0), vec![rank, s.inp], s.a.clone()), (name(s, 1), vec![s.out, rank], s.b.clone())]
    })
}

fn weights(params: &LoraParams) -> Result<Vec<u8>> {
    let all = matrices(params).map(|(name, shape, at)| (name, shape, &params.values[at]));
    tensors(all, "pt")
}

fn tensors<'a>(all: impl Iterator<Item = (String, Vec<usize>, &'a [f32])>, format: &str) -> Result<Vec<u8>> {
    let views = all.map(|(name, shape, xs)| Ok((name, TensorView::new(Dtype::F32, shape, bytes_of(xs))?)));
    let views: Result<Vec<_>, safetensors::SafeTensorError> = views.collect();
    let note = HashMap::from([("format".to_owned(), format.to_owned())]);
    views.and_then(|views| serialize(views, Some(note))).context("the weights cannot be written")
}

/// Reads weights that [`files`] wrote into the same sites.
///
/// # Errors
/// Damage, or other layers than these; `shown` names the file.
pub fn read_weights(bytes: &[u8], shown: &str, params: &mut LoraParams) -> Result<()> {
    let file = open(bytes, shown)?;
    let all: Vec<_> = matrices(params).collect();
    if file.len() != all.len() {
        crate::fail!("{shown}: holds {} tensors where the run has {}", file.len(), all.len());
    }
    for (name, shape, at) in all {
        read(&file, shown, &name, &shape, &mut params.values[at])?;
    }
    Ok(())
}

/// The optimiser's moments.
///
/// # Errors
/// More numbers than a file can hold.
pub fn moments(adam: &AdamW) -> Result<Vec<u8>> {
    let all = [("exp_avg", &adam.m), ("exp_avg_sq", &adam.v)];
    tensors(all.into_iter().map(|(name, xs)| (name.to_owned(), vec![xs.len()], &xs[..])), "polylens")
}

/// Reads [`moments`] of `n` parameters.
///
/// # Errors
/// Damage, or another number; `shown` names the file.
pub fn read_moments(bytes: &[u8], shown: &str, n: usize) -> Result<AdamW> {
    let file = open(bytes, shown)?;
    let mut adam = AdamW::new(n);
    read(&file, shown, "exp_avg", &[n], &mut adam.m)?;
    read(&file, shown, "exp_avg_sq", &[n], &mut adam.v)?;
    Ok(adam)
}

fn open<'a>(bytes: &'a [u8], shown: &str) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(bytes)
        .map_err(|e| Error::failed(format!("{shown}: is damaged or cut off ({e})")))
}

fn read(file: &SafeTensors, shown: &str, name: &str, shape: &[usize], to: &mut [f32]) -> Result<()> {
    let view = file.tensor(name).with_context(|| format!("{shown}: {name:?} cannot be read"))?;
    if view.shape() != shape || view.dtype() != Dtype::F32 {
        crate::fail!(
            "{shown}: {name:?} is {:?} {:?} where the run has F32 {shape:?}",
            view.dtype(),
            view.shape()
        );
    }
    for (x, four) in to.iter_mut().zip(view.data().chunks_exact(4)) {
        *x = f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
        if !x.is_finite() {
            crate::fail!("{shown}: {name:?} holds NaN or infinity");
        }
    }
    Ok(())
}
