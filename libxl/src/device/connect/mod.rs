//! What the scripts `block` and `vif-bridge` do, done without them: the same checks, nodes, locks and messages, and no
//! process.
//!
//! Only where the script is the very one that this toolstack comes with: one that an operator has changed or chosen, or
//! added hooks to, is run.

mod block;
mod bridge;

use super::hotplug::Action;
use super::{Device, DeviceKind};
use crate::ctx::Ctx;
use crate::error::Result;
use std::fs;
use std::path::Path;

/// Our own scripts, byte for byte.
const BLOCK: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../hotplug/linux/scripts/block"));
const VIF_BRIDGE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../hotplug/linux/scripts/vif-bridge"));

/// Connects or disconnects a device without its script, if that can be; whether it was done.
///
/// # Errors
/// Why it cannot be connected: what the script would have written to `hotplug-error`.
pub(super) fn without_script(ctx: &Ctx, device: &Device, script: &Path, action: Action) -> Result<bool> {
    match device.backend_kind {
        DeviceKind::Vbd if is_ours(script, BLOCK) => block::connect(ctx, device, action).map(|()| true),
        DeviceKind::Vif if is_ours(script, VIF_BRIDGE) => bridge::connect(ctx, device, script, action),
        _ => Ok(false),
    }
}

fn is_ours(script: &Path, ours: &[u8]) -> bool {
    fs::read(script).is_ok_and(|content| content == ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_script_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("block");
        assert!(!is_ours(&script, BLOCK));
        fs::write(&script, BLOCK).unwrap();
        assert!(is_ours(&script, BLOCK));
        fs::write(&script, [BLOCK, b"logger more\n"].concat()).unwrap();
        assert!(!is_ours(&script, BLOCK));
    }
}
