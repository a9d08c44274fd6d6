//! What Linux says about a process: processor time and memory, from `/proc` (proc(5)).

use anyhow::{Context, Result};
use serde::Serialize;

/// Ticks per second of the times in `/proc/<pid>/stat`: `USER_HZ`, which is 100 on every
/// architecture that Rust has a tier 1 or 2 Linux target for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory of a process, in MiB.
#[derive(Clone, Copy, Serialize)]
pub struct Memory {
    /// Resident now (`VmRSS`).
    pub resident_mib: f64,
    /// The most that was ever resident (`VmHWM`).
    pub peak_mib: f64,
}

/// Seconds of processor time that the process has used so far, in user and kernel mode.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = read(pid, "stat")?;
    // The second field is the name in parentheses, which may itself hold spaces and parentheses;
    // utime and stime are the fields 14 and 15.
    let (_, fields) = stat.rsplit_once(')').context("stat without a name")?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || -> Result<f64> {
        Ok(fields
            .next()
            .context("stat without times")?
            .parse::<u32>()?
            .into())
    };
    Ok((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// Resident memory of the process.
pub fn memory(pid: u32) -> Result<Memory> {
    let status = read(pid, "status")?;
    let mib = |name: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_ascii_whitespace().next());
        let kib: u32 = kib
            .with_context(|| format!("status without {name}"))?
            .parse()?;
        Ok(f64::from(kib) / 1024.0)
    };
    Ok(Memory {
        resident_mib: mib("VmRSS:")?,
        peak_mib: mib("VmHWM:")?,
    })
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).with_context(|| format!("reading {path}: has it ended?"))
}
