//! The decoder: one forward pass for every architecture, with taps on the residual stream.

use super::act::{self, Act, Backend, RmsNorm, Sequence};
use super::adapter::Adapter;
use super::config::Config;
use super::damage;
use super::kernels::attention::Heads;
use super::kernels::elementwise::Angles;
use super::kernels::matmul::with_kernel;
use super::kernels::team;
use super::layout::Layout;
use super::linear::{Group, Input, Linear, Weight, forward_many};
use super::names::Proj;
use crate::engine::control::Cancel;
use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// One transformer block.
pub struct Block {
    pub attention_norm: RmsNorm,
    pub q_norm: Option<RmsNorm>,
    pub k_norm: Option<RmsNorm>,
    pub post_attention_norm: Option<RmsNorm>,
    pub mlp_norm: RmsNorm,
    pub post_mlp_norm: Option<RmsNorm>,
    pub q: Linear,
    pub k: Linear,
    pub v: Linear,
    pub o: Linear,
    pub gate: Linear,
    pub up: Linear,
    pub down: Linear,
}

impl Block {
    /// The linear layer of a name.
    pub fn linear(&self, proj: Proj) -> &Linear {
        match proj {
            Proj::Q => &self.q,
            Proj::K => &self.k,
            Proj::V => &self.v,
            Proj::O => &self.o,
            Proj::Gate => &self.gate,
            Proj::Up => &self.up,
            Proj::Down => &self.down,
        }
    }
}

/// A loaded decoder.
pub struct Decoder {
    pub config: Config,
    pub backend: Backend,
    /// `[vocabulary, hidden]`
    pub embedding: Weight,
    /// `[vocabulary, hidden]`; the embedding itself where the file has no other.
    pub unembedding: Weight,
    pub final_norm: RmsNorm,
    pub blocks: Vec<Block>,
}

/// Keys and values of a run of tokens under one adapter (or none), to be continued.
pub struct KvCache {
    pub tokens: Vec<u32>,
    /// Per block `[kv_heads * head_dim, tokens]`, keys after their rotary embedding.
    layers: Vec<(Act, Act)>,
}

impl KvCache {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(|(k, v)| k.bytes() + v.bytes()).sum()
    }

    /// On the CPU, how many matrices it is made of and their rows.
    pub fn matrices(&self) -> Option<(usize, usize)> {
        match self.layers.first()? {
            (Act::Cpu(k), _) => Some((2 * self.layers.len(), k.rows())),
            _ => None,
        }
    }
}

/// One sequence to run.
#[derive(Clone)]
pub struct Span {
    /// The whole sequence; only the tokens after `past` are computed.
    pub tokens: Vec<u32>,
    /// A cache whose first `.1` tokens are this sequence's.
    pub past: Option<(Arc<KvCache>, usize)>,
    pub adapter: Option<Arc<Adapter>>,
}

impl Span {
    /// A sequence from its beginning.
    pub fn new(tokens: Vec<u32>, adapter: Option<Arc<Adapter>>) -> Self {
        Self { tokens, past: None, adapter }
    }

    /// Tokens taken from the cache.
    pub fn reused(&self) -> usize {
        self.past.as_ref().map_or(0, |(_, n)| *n)
    }

    pub(super) fn own(&self) -> &[u32] {
        &self.tokens[self.reused()..]
    }
}

/// Where in a block a tap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The residual stream after block `layer` (layer 0: the embeddings).
    Residual,
    /// Inside block `layer`, after attention was added.
    AfterAttention,
    /// What block `layer`'s MLP adds.
    MlpOutput,
}

/// Activations at a tap.
pub struct Tap<'a> {
    pub layer: usize,
    pub point: Point,
    /// `[hidden, columns]`
    pub x: &'a Act,
    /// Each span's own columns.
    pub columns: &'a [Range<usize>],
}

/// What a forward pass does besides the residual taps.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Return keys and values of every span.
    pub keep_kv: bool,
    /// Also tap inside blocks.
    pub sublayers: bool,
    /// Only the spans' last positions are wanted from the last block, whose tap has one column a span. Not together
    /// with `sublayers`.
    pub last_only: bool,
    /// A span's numbers must not depend, to the last bit, on what else is computed with it.
    pub same_bits: bool,
}

impl Decoder {
    /// Rows of the unembedding.
    pub fn vocabulary(&self) -> usize {
        self.unembedding.shape().0
    }

    /// Runs the spans together and hands out the residual stream, layer by layer, as it is computed. The
    /// caller may stop between layers through `cancel` or by an error from `tap`. Returns each span's cache
    /// where `options.keep_kv` asks for it.
    ///
    /// # Errors
    /// An id outside the vocabulary, nothing to compute, a sequence longer than the model's positions,
    /// cancellation, weights that are not finite, what the tap or the device says.
    pub fn forward(
        &self,
        spans: &[Span],
        options: Options,
        cancel: &Cancel,
        tap: &mut dyn FnMut(Tap) -> Result<()>,
    ) -> Result<Vec<KvCache>> {
        self.check(spans)?;
        let layout = Layout::of(spans);
        let tap = &mut |t: Tap| damage::check(self, &t).and_then(|()| tap(t));
        team::with(|| {
            with_kernel(layout.total, options.same_bits, || self.pass(spans, &layout, options, cancel, tap))
        })
    }

    fn pass(
        &self,
        spans: &[Span],
        layout: &Layout,
        options: Options,
        cancel: &Cancel,
        tap: &mut dyn FnMut(Tap) -> Result<()>,
    ) -> Result<Vec<KvCache>> {
        let mut ids = vec![None; layout.total];
        let mut positions = vec![0; layout.total];
        for (s, cols) in spans.iter().zip(&layout.columns) {
            for (i, id) in s.own().iter().enumerate() {
                ids[cols.start + i] = Some(*id);
                positions[cols.start + i] = s.reused() + i;
            }
        }
        let mut x = act::embed(&self.embedding, &ids, self.config.hidden, self.config.embedding_scale)?;
        let angles: Vec<Angles> = self
            .config
            .ropes
            .iter()
            .map(|r| Angles::new(&r.inverse_frequencies(self.config.head_dim), &positions))
            .collect();
        tap(Tap { layer: 0, point: Point::Residual, x: &x, columns: &layout.columns })?;
        let mut kept: Vec<Vec<(Act, Act)>> = spans.iter().map(|_| Vec::new()).collect();
        for layer in 0..self.blocks.len() {
            cancel.check()?;
            let mut pass = Pass { decoder: self, layout, spans, layer, options };
            if options.last_only && layer + 1 == self.blocks.len() {
                let (x, tail) = pass.last(&x, &angles, &mut kept)?;
                tap(Tap { layer: layer + 1, point: Point::Residual, x: &x, columns: &tail.columns })?;
                break;
            }
            pass.attention(&mut x, &angles, &mut kept)?;
            if options.sublayers {
                tap(Tap { layer: layer + 1, point: Point::AfterAttention, x: &x, columns: &layout.columns })?;
            }
            pass.mlp(&mut x, &mut *tap)?;
            tap(Tap { layer: layer + 1, point: Point::Residual, x: &x, columns: &layout.columns })?;
        }
        if !options.keep_kv {
            return Ok(Vec::new());
        }
        Ok(spans.iter().zip(kept).map(|(s, layers)| KvCache { tokens: s.tokens.clone(), layers }).collect())
    }

    /// Whether the spans can be run.
    ///
    /// # Errors
    /// As [`Decoder::forward`].
    pub(crate) fn check(&self, spans: &[Span]) -> Result<()> {
        let vocabulary = self.embedding.shape().0;
        for s in spans {
            if s.tokens.len() <= s.reused() {
                crate::fail!("there is nothing to read: the text has no tokens");
            }
            if s.tokens.len() > self.config.max_positions {
                crate::fail!(
                    "the text has {} tokens; this model reads at most {}",
                    s.tokens.len(),
                    self.config.max_positions
                );
            }
            if let Some(id) = s.tokens.iter().find(|id| **id as usize >= vocabulary) {
                return Err(Error::failed(format!(
                    "token id {id} is outside the model's vocabulary of {vocabulary}; tokenizer and model do not belong together"
                )));
            }
        }
        Ok(())
    }
}

/// One block of one forward pass.
struct Pass<'a> {
    decoder: &'a Decoder,
    layout: &'a Layout,
    spans: &'a [Span],
    layer: usize,
    options: Options,
}

impl Pass<'_> {
    fn block(&self) -> &Block {
        &self.decoder.blocks[self.layer]
    }

    /// Several linear layers of this block on one input, adapters included.
    fn linears(&self, projs: &[Proj], input: Input) -> Result<Vec<Act>> {
        let layers: Vec<&Linear> = projs.iter().map(|p| self.block().linear(*p)).collect();
        let groups: Vec<Group> = self
            .layout
            .groups
            .iter()
            .filter_map(|(cols, adapter)| {
                let adapter = adapter.as_ref()?;
                let loras = projs.iter().map(|p| adapter.lora(self.layer, *p)).collect();
                Some(Group { cols: cols.clone(), loras })
            })
            .collect();
        forward_many(&layers, input, &groups)
    }

    fn attention(&mut self, x: &mut Act, angles: &[Angles], kept: &mut [Vec<(Act, Act)>]) -> Result<()> {
        let (config, block) = (&self.decoder.config, self.block());
        let kind = config.layers[self.layer];
        let [mut q, mut k, v]: [Act; 3] = self
            .linears(&[Proj::Q, Proj::K, Proj::V], Input::Normed(&block.attention_norm, x))?
            .try_into()
            .map_err(|_| Error::failed("three projections were asked for"))?;
        if let Some(norm) = &block.q_norm {
            q = norm.heads(q, config.head_dim)?;
        }
        if let Some(norm) = &block.k_norm {
            k = norm.heads(k, config.head_dim)?;
        }
        let angles = &angles[kind.rope];
        q = act::rope(q, config.head_dim, angles, config.attention_scale as f32)?;
        k = act::rope(k, config.head_dim, angles, 1.0)?;
        let sequences: Vec<Sequence> = self
            .spans
            .iter()
            .zip(&self.layout.columns)
            .map(|(s, cols)| Sequence {
                start: cols.start,
                len: cols.len(),
                past: s.past.as_ref().map(|(c, n)| (&c.layers[self.layer].0, &c.layers[self.layer].1, *n)),
            })
            .collect();
        let mixed = act::attend(&q, &k, &v, &sequences, self.heads())?;
        if let ([only], true, None) = (&mut *kept, self.options.keep_kv, &self.spans[0].past) {
            only.push((k, v));
        } else if self.options.keep_kv {
            for (s, kept) in sequences.iter().zip(kept) {
                let (pk, pv) = (s.past.map(|p| (p.0, p.2)), s.past.map(|p| (p.1, p.2)));
                let end = s.start + s.len;
                kept.push((k.slice_after(pk, s.start, end)?, v.slice_after(pv, s.start, end)?));
            }
        }
        let out = self.linears(&[Proj::O], Input::Plain(&mixed))?.remove(0);
        self.join(x, out, self.block().post_attention_norm.as_ref())
    }

    /// The block for the spans' last positions alone: keys and values of all positions, everything else of those.
    fn last(&self, x: &Act, angles: &[Angles], kept: &mut [Vec<(Act, Act)>]) -> Result<(Act, Layout)> {
        let (config, block) = (&self.decoder.config, self.block());
        let kind = config.layers[self.layer];
        let normed = block.attention_norm.forward(x)?;
        let [mut k, v]: [Act; 2] = self
            .linears(&[Proj::K, Proj::V], Input::Plain(&normed))?
            .try_into()
            .map_err(|_| Error::failed("two projections were asked for"))?;
        if let Some(norm) = &block.k_norm {
            k = norm.heads(k, config.head_dim)?;
        }
        k = act::rope(k, config.head_dim, &angles[kind.rope], 1.0)?;

        let tail = Layout::with(self.spans, |_| 1);
        let (mut sources, mut positions) = (vec![0; tail.total], vec![0; tail.total]);
        for ((s, all), one) in self.spans.iter().zip(&self.layout.columns).zip(&tail.columns) {
            sources[one.start] = all.end - 1;
            positions[one.start] = s.tokens.len() - 1;
        }
        let rest = Pass {
            decoder: self.decoder,
            layout: &tail,
            spans: self.spans,
            layer: self.layer,
            options: self.options,
        };
        let mut q = rest.linears(&[Proj::Q], Input::Plain(&normed.pick(&sources)?))?.remove(0);
        if let Some(norm) = &block.q_norm {
            q = norm.heads(q, config.head_dim)?;
        }
        let angles = Angles::new(&config.ropes[kind.rope].inverse_frequencies(config.head_dim), &positions);
        q = act::rope(q, config.head_dim, &angles, config.attention_scale as f32)?;
        let (own_k, own_v) = (k.pick(&sources)?, v.pick(&sources)?);
        let joined = self.joined(k, v)?;
        let sequences: Vec<Sequence> = self
            .spans
            .iter()
            .zip(&tail.columns)
            .zip(&joined)
            .map(|((s, one), (k, v))| {
                let before = s.tokens.len() - 1;
                Sequence { start: one.start, len: 1, past: (before > 0).then_some((k, v, before)) }
            })
            .collect();
        let mixed = act::attend(&q, &own_k, &own_v, &sequences, self.heads())?;
        if self.options.keep_kv {
            kept.iter_mut().zip(joined).for_each(|(kept, both)| kept.push(both));
        }
        let mut x = x.pick(&sources)?;
        let out = rest.linears(&[Proj::O], Input::Plain(&mixed))?.remove(0);
        rest.join(&mut x, out, block.post_attention_norm.as_ref())?;
        rest.mlp(&mut x, &mut |_| Ok(()))?;
        Ok((x, tail))
    }

    /// Keys and values of each span's whole sequence.
    fn joined(&self, k: Act, v: Act) -> Result<Vec<(Act, Act)>> {
        if let ([only], [all]) = (self.spans, &self.layout.columns[..])
            && only.past.is_none()
            && all.len() == k.cols()
        {
            return Ok(vec![(k, v)]);
        }
        let one = |(s, all): (&Span, &Range<usize>)| {
            let past = s.past.as_ref().map(|(c, n)| (&c.layers[self.layer], *n));
            let join = |own: &Act, past| own.slice_after(past, all.start, all.end);
            Ok((join(&k, past.map(|(l, n)| (&l.0, n)))?, join(&v, past.map(|(l, n)| (&l.1, n)))?))
        };
        self.spans.iter().zip(&self.layout.columns).map(one).collect()
    }

    fn heads(&self) -> Heads {
        let config = &self.decoder.config;
        Heads {
            heads: config.heads,
            kv_heads: config.kv_heads,
            dim: config.head_dim,
            window: config.layers[self.layer].window,
            softcap: config.attention_softcap.map(|c| c as f32),
            rounds: matches!(&self.block().k.w, Weight::Cpu(w) if w.rounds),
        }
    }

    fn mlp(&self, x: &mut Act, tap: &mut dyn FnMut(Tap) -> Result<()>) -> Result<()> {
        let mut both = self.linears(&[Proj::Gate, Proj::Up], Input::Normed(&self.block().mlp_norm, x))?;
        let (up, gate) = (both.remove(1), both.remove(0));
        let hidden = act::gated(self.decoder.config.activation, gate, &up)?;
        let mut out = self.linears(&[Proj::Down], Input::Plain(&hidden))?.remove(0);
        if !self.options.sublayers {
            return self.join(x, out, self.block().post_mlp_norm.as_ref());
        }
        if let Some(norm) = &self.block().post_mlp_norm {
            out = norm.forward(&out)?;
        }
        let columns = &self.layout.columns;
        tap(Tap { layer: self.layer + 1, point: Point::MlpOutput, x: &out, columns })?;
        act::add(x, &out)
    }

    /// Adds a half block's output to the residual stream, through its post-norm where there is one.
    fn join(&self, x: &mut Act, out: Act, norm: Option<&RmsNorm>) -> Result<()> {
        match norm {
            Some(norm) => norm.add_to(&out, x),
            None => act::add(x, &out),
        }
    }
}
