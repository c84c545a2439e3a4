//! Which vector instructions this processor has, found once at run time.

use std::sync::OnceLock;

/// The instruction sets that kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simd {
    Avx512,
    Avx2,
    Portable,
}

impl Simd {
    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "AVX-512",
            Self::Avx2 => "AVX2 + FMA",
            Self::Portable => "portable",
        }
    }

    /// All that this processor can run, fastest first.
    pub fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                all.push(Self::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self::Avx2);
            }
        }
        all.push(Self::Portable);
        all
    }
}

/// The set in use: the fastest available, or what `POLYLENS_SIMD` (avx512, avx2, portable) asks for if it
/// is available.
pub fn simd() -> Simd {
    static CHOSEN: OnceLock<Simd> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let all = Simd::available();
        let asked = match std::env::var("POLYLENS_SIMD").as_deref() {
            Ok("avx512") => Some(Simd::Avx512),
            Ok("avx2") => Some(Simd::Avx2),
            Ok("portable") => Some(Simd::Portable),
            _ => None,
        };
        asked.filter(|s| all.contains(s)).unwrap_or(all[0])
    })
}

/// Asks for a cache line that will be written; any address is allowed. For processors with AVX-512, all of which have the
/// instruction: the compiler knows it as one of another set and would ask for the line as for one that is read.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn fetch_to_write<T>(p: *const T) {
    // SAFETY: a prefetch never faults.
    unsafe { std::arch::asm!("prefetchw [{}]", in(reg) p, options(nostack, preserves_flags, readonly)) }
}

/// A number in all lanes of a vector, from memory. On Zen 4 `vbroadcastss` takes the arithmetic units' time even from
/// memory, where the same as an integer takes none; the compiler knows no difference and would choose the former.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn broadcast(p: *const f32) -> std::arch::x86_64::__m512 {
    let lanes;
    // SAFETY: the caller's: the number is there.
    unsafe {
        std::arch::asm!(
            "vpbroadcastd {}, dword ptr [{}]",
            out(zmm_reg) lanes,
            in(reg) p,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    lanes
}

/// The same in half a vector; where registers are few it also keeps the compiler from moving it and a sum to memory for it.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn broadcast_half(p: *const f32) -> std::arch::x86_64::__m256 {
    let lanes;
    // SAFETY: the caller's.
    unsafe {
        std::arch::asm!(
            "vpbroadcastd {}, dword ptr [{}]",
            out(ymm_reg) lanes,
            in(reg) p,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    lanes
}

/// Compiles a function body once per instruction set and calls the best one: the plain loop stays the only
/// source, and the compiler vectorises it for each set.
#[macro_export]
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        // Kernels take pointers, strides and counts one by one.
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[allow(clippy::too_many_arguments)]
            #[inline(always)]
            fn plain($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx512f,avx512dq,avx2,fma,f16c")]
                fn avx512($($arg: $ty),*) $(-> $ret)? { plain($($arg),*) }
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx2,fma,f16c")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { plain($($arg),*) }
                match $crate::model::kernels::simd::simd() {
                    // SAFETY: `simd` returns only what this processor was found to have.
                    $crate::model::kernels::simd::Simd::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::model::kernels::simd::Simd::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::model::kernels::simd::Simd::Portable => {}
                }
            }
            plain($($arg),*)
        }
    };
}
