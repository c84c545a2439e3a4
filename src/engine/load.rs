//! Everything between a path and a usable model: device, threads, number format, weights, tokenizer.

use super::core::Progress;
use super::protocol::{DType, DeviceChoice, LoadSpec, ModelInfo};
use crate::error::{Error, Result};
use crate::model::act::Backend;
use crate::model::decoder::Decoder;
use crate::model::format::bytes_of;
use crate::model::kernels;
use crate::model::linear::Weight;
use crate::model::loader::Checkpoint;
use crate::model::names::Proj;
use crate::model::tokenizer::Tokenizer;
use crate::model::weights::read_ahead;
use candle_core::Device;
use memmap2::Mmap;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

/// A loaded model's parts.
pub struct Parts {
    pub decoder: Decoder,
    pub tokenizer: Tokenizer,
    pub pool: rayon::ThreadPool,
    pub info: ModelInfo,
    /// The files whose blocks are read, and checked, when they are first computed with: none where all is read.
    pub unread: Vec<Arc<Mmap>>,
}

/// Loads tokenizer and weights side by side. `give_way` lowers the compute threads' priority.
///
/// # Errors
/// One sentence: what is wrong with which file or value.
pub fn load(spec: &LoadSpec, give_way: bool, progress: Progress) -> Result<Parts> {
    let threads = if spec.threads == 0 { cores() } else { spec.threads };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("compute-{i}"))
        .start_handler(move |_| {
            if give_way {
                lower_priority();
            }
        })
        .build()
        .map_err(|e| Error::failed(format!("{threads} threads cannot be started ({e}); try --threads 1")))?;
    let (backend, device_name) = backend(&spec.device)?;
    let checkpoint = Checkpoint::open(&spec.path)?;
    let mut notes = Vec::new();
    let dtype = choose(spec.dtype, &backend);
    if dtype == DType::Bf16 && matches!(backend, Backend::Cpu) {
        notes.push(match kernels::multiplies_bf16() {
            true => ROUNDED.to_owned(),
            false => "This processor has no bf16 arithmetic: bf16 weights are multiplied in f32.".to_owned(),
        });
    }
    let as_needed = checkpoint.read_as_needed(dtype, &backend);
    let unread = if as_needed { checkpoint.store.maps() } else { Vec::new() };
    if as_needed {
        let gigabytes = unread.iter().map(|m| m.len()).sum::<usize>() as f64 / 1e9;
        notes.push(format!(
            "The model's {gigabytes:.1} GB are read, and checked, when they are computed with."
        ));
    }
    let (decoder, tokenizer) = std::thread::scope(|scope| {
        let tokenizer = scope.spawn(|| match &checkpoint.gguf {
            Some(gguf) => Tokenizer::from_gguf(gguf, cache_dir().as_deref()),
            None => Tokenizer::from_dir(&spec.path),
        });
        let decoder = pool.install(|| {
            checkpoint.build(dtype, &backend, &mut |done, total| progress("weights", done, total, "tensors"))
        });
        let tokenizer = tokenizer.join().map_err(|_| Error::failed("the tokenizer could not be built"));
        Ok::<_, Error>((decoder.map_err(|e| named(e, &spec.path))?, tokenizer??))
    })?;
    if tokenizer.vocabulary() > decoder.embedding.shape().0 {
        notes.push(format!(
            "The tokenizer knows {} tokens, the embedding only {}; texts that need the others are refused.",
            tokenizer.vocabulary(),
            decoder.embedding.shape().0
        ));
    }
    let c = &decoder.config;
    let info = ModelInfo {
        name: spec.name.clone(),
        architecture: c.architecture.clone(),
        layers: c.layers.len(),
        hidden: c.hidden,
        vocabulary: decoder.vocabulary(),
        dtype: dtype_name(dtype, &decoder),
        device: device_name,
        threads,
        weight_bytes: weight_bytes(&decoder),
        logits_check: 0.0,
        load_ms: 0,
        notes,
    };
    Ok(Parts { decoder, tokenizer, pool, info, unread })
}

/// Has files that are not read yet come into memory from now on, in their order, where all of them fit.
pub fn begin_reading(unread: Vec<Arc<Mmap>>) {
    let bytes: u64 = unread.iter().map(|m| m.len() as u64).sum();
    if free_memory().is_some_and(|free| bytes < free) {
        read_ahead(unread);
    }
}

/// A model's tokenizer alone, from a Hugging Face directory or a GGUF file.
///
/// # Errors
/// What is wrong with which file.
pub fn tokenizer(path: &Path) -> Result<Tokenizer> {
    match Checkpoint::open(path)?.gguf {
        Some(gguf) => Tokenizer::from_gguf(&gguf, cache_dir().as_deref()),
        None => Tokenizer::from_dir(path),
    }
}

fn named(e: Error, path: &Path) -> Error {
    match e {
        Error::Failed(m) if !m.contains(&path.display().to_string()) => {
            Error::Failed(format!("{}: {m}", path.display()))
        }
        other => other,
    }
}

/// Where rebuilt tokenizers are kept.
fn cache_dir() -> Option<std::path::PathBuf> {
    cache_root().map(|root| root.join("tokenizers"))
}

/// Where the one expensive number of a model's token energy is kept: the norms of all its unembedding rows
/// name the model.
pub fn energy_file(norms: &[f32]) -> Option<std::path::PathBuf> {
    let hash = crate::hub::job::hex(Sha256::new_with_prefix(bytes_of(norms)));
    Some(cache_root()?.join("energy").join(hash))
}

/// Keeps a number in the cache. A cache that cannot be written costs time later, nothing else.
pub fn keep_number(place: &Path, x: f64) {
    let Some(dir) = place.parent() else { return };
    let kept = std::fs::create_dir_all(dir)
        .and_then(|()| tempfile::NamedTempFile::new_in(dir))
        .and_then(|file| std::fs::write(file.path(), format!("{x:e}\n")).map(|()| file));
    if let Ok(file) = kept {
        let _ = file.persist(place);
    }
}

/// The program's cache folder; `None` where none can be named.
pub fn cache_root() -> Option<std::path::PathBuf> {
    crate::hub::HubConfig::from_env().ok().map(|c| c.cache)
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// For what works in the background: the explorer's own thread must get the processor at once when a key is pressed.
pub(super) fn lower_priority() {
    #[cfg(target_os = "linux")]
    // SAFETY: plain system calls; on Linux a thread's niceness is its own.
    unsafe {
        let tid = libc::syscall(libc::SYS_gettid);
        libc::setpriority(libc::PRIO_PROCESS, tid as libc::id_t, 5);
    }
}

fn backend(choice: &DeviceChoice) -> Result<(Backend, String)> {
    let on = |d: candle_core::Result<Device>, name: String| match d {
        Ok(d) => Ok((Backend::Device(d), name)),
        Err(e) => Err(Error::failed(format!("the device {name} cannot be used ({e}); try --device cpu"))),
    };
    let cpu = || Ok((Backend::Cpu, "cpu".to_owned()));
    match choice {
        DeviceChoice::Cpu => cpu(),
        DeviceChoice::Cuda(n) if cfg!(feature = "cuda") => on(Device::new_cuda(*n), format!("cuda:{n}")),
        DeviceChoice::Metal if cfg!(feature = "metal") => on(Device::new_metal(0), "metal".into()),
        DeviceChoice::Cuda(_) => {
            Err(Error::failed("this build has no CUDA; build with --features cuda, or use --device cpu"))
        }
        DeviceChoice::Metal => {
            Err(Error::failed("this build has no Metal; build with --features metal, or use --device cpu"))
        }
        DeviceChoice::Auto => {
            if cfg!(feature = "cuda")
                && let Ok(d) = Device::new_cuda(0)
            {
                return Ok((Backend::Device(d), "cuda:0".into()));
            }
            if cfg!(feature = "metal")
                && let Ok(d) = Device::new_metal(0)
            {
                return Ok((Backend::Device(d), "metal".into()));
            }
            cpu()
        }
    }
}

/// `Auto`: on a CPU f32 arithmetic with the weights as they lie in the file, on a device the file's own format.
fn choose(asked: DType, backend: &Backend) -> DType {
    match (asked, backend) {
        (DType::Auto, Backend::Cpu) => DType::F32,
        (DType::Auto, Backend::Device(_)) => DType::Native,
        _ => asked,
    }
}

/// What bf16 arithmetic means, for who asked for it.
const ROUNDED: &str = "bf16 arithmetic: activations are rounded to bf16 before every product, which has moved lens \
                       probabilities by up to .1; --dtype f32 is exact.";

/// Memory that programs can still take, in bytes, where the system says so.
pub fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

fn dtype_name(dtype: DType, decoder: &Decoder) -> String {
    match dtype {
        DType::F16 => "f16".into(),
        DType::Bf16 => "bf16".into(),
        DType::F32 | DType::Auto => "f32".into(),
        DType::Native => {
            let format = |w: &Weight| match w {
                Weight::Cpu(w) => w.format.name().to_owned(),
                Weight::Device(t) => t.dtype().as_str().to_owned(),
            };
            let (a, b) = (format(&decoder.blocks[0].q.w), format(&decoder.embedding));
            if a == b { a } else { format!("{a}+{b}") }
        }
    }
}

fn weight_bytes(decoder: &Decoder) -> u64 {
    let linears = decoder.blocks.iter().flat_map(|b| Proj::ALL.into_iter().map(|p| b.linear(p).w.bytes()));
    let tied = match (&decoder.embedding, &decoder.unembedding) {
        (Weight::Cpu(a), Weight::Cpu(b)) => std::ptr::eq(a.bytes(), b.bytes()),
        (Weight::Device(a), Weight::Device(b)) => a.id() == b.id(),
        _ => false,
    };
    let tables = decoder.embedding.bytes() + if tied { 0 } else { decoder.unembedding.bytes() };
    (linears.sum::<usize>() + tables) as u64
}
