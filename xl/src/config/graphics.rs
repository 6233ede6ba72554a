//! Displays: PV frame buffers, and VNC, SDL, SPICE and the graphics adapter of HVM guests (xl.cfg(5)).

use super::diagnostic::Diagnostics;
use super::items;
use super::keys;
use super::reader::Reader;
use super::source::Text;
use libxl::types::{DefBool, DeviceVfb, HvmInfo, SdlInfo, VgaInterfaceType, VncInfo};

/// A PV frame buffer. What it does not know is told of and left out.
pub(crate) fn vfb(spec: Text<'_>, diagnostics: &mut Diagnostics) -> DeviceVfb {
    let mut vfb = DeviceVfb::default();
    for token in items::pairs_of(spec, diagnostics) {
        let Some((key, value)) = token.split_once('=') else { continue };
        let text = || Some(value.text.to_string());
        let mut switch = |field: &mut DefBool| {
            let mut on = false;
            items::boolean_of(value, 10, &mut on, diagnostics);
            *field = on.into();
        };
        match key.text {
            "vnc" => switch(&mut vfb.vnc.enable),
            "vncunused" => switch(&mut vfb.vnc.findunused),
            "sdl" => switch(&mut vfb.sdl.enable),
            "opengl" => switch(&mut vfb.sdl.opengl),
            "vnclisten" => vfb.vnc.listen = text(),
            "vncpasswd" => vfb.vnc.passwd = text(),
            "vncdisplay" => {
                items::number_of(value, 10, &mut vfb.vnc.display, diagnostics);
            }
            "keymap" => vfb.keymap = text(),
            "display" => vfb.sdl.display = text(),
            "xauthority" => vfb.sdl.xauthority = text(),
            unknown => {
                diagnostics
                    .ignored(key.span, format!("a vfb has no parameter `{unknown}'"))
                    .did_you_mean(unknown, keys::VFB.iter().map(|(name, _)| *name));
            }
        }
    }
    vfb
}

/// Reads `vnc`, `vnclisten`, `vncpasswd`, `vncdisplay` and `vncunused`.
pub(crate) fn vnc(reader: &mut Reader<'_>, vnc: &mut VncInfo) {
    reader.set_switch("vnc", &mut vnc.enable);
    reader.set_string("vnclisten", &mut vnc.listen);
    reader.set_string("vncpasswd", &mut vnc.passwd);
    reader.set_number("vncdisplay", &mut vnc.display);
    reader.set_switch("vncunused", &mut vnc.findunused);
}

/// Reads `sdl`, `opengl`, `display` and `xauthority`.
pub(crate) fn sdl(reader: &mut Reader<'_>, sdl: &mut SdlInfo) {
    reader.set_switch("sdl", &mut sdl.enable);
    reader.set_switch("opengl", &mut sdl.opengl);
    reader.set_string("display", &mut sdl.display);
    reader.set_string("xauthority", &mut sdl.xauthority);
}

/// Reads what an HVM guest has of displays.
pub(crate) fn hvm(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    vnc(reader, &mut hvm.vnc);
    sdl(reader, &mut hvm.sdl);
    if hvm.vnc.display != 0 && hvm.vnc.listen.as_deref().is_some_and(|listen| listen.contains(':')) {
        let error = reader.diagnostics.error(reader.span("vncdisplay"), "`vnclisten' has a display too");
        error.help("leave `vncdisplay' out, or the `:' and the number behind it in `vnclisten'");
    }
    reader.set_string("keymap", &mut hvm.keymap);
    vga(reader, hvm);
    spice(reader, hvm);
    reader.set_switch("nographic", &mut hvm.nographic);
    gfx_passthru(reader, hvm);
}

fn vga(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    if let Some(text) = reader.text("vga") {
        hvm.vga.kind = match text.text {
            "stdvga" => VgaInterfaceType::Std,
            "cirrus" => VgaInterfaceType::Cirrus,
            "none" => VgaInterfaceType::None,
            "qxl" => VgaInterfaceType::Qxl,
            unknown => {
                reader
                    .diagnostics
                    .error(text.span, format!("unknown vga `{unknown}'"))
                    .help("it is none, stdvga, cirrus or qxl");
                return;
            }
        };
    } else if let Some(standard) = reader.boolean("stdvga") {
        hvm.vga.kind = if standard { VgaInterfaceType::Std } else { VgaInterfaceType::Cirrus };
    }
}

fn spice(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    let spice = &mut hvm.spice;
    reader.set_switch("spice", &mut spice.enable);
    reader.set_number("spiceport", &mut spice.port);
    reader.set_number("spicetls_port", &mut spice.tls_port);
    reader.set_string("spicehost", &mut spice.host);
    reader.set_switch("spicedisable_ticketing", &mut spice.disable_ticketing);
    reader.set_string("spicepasswd", &mut spice.passwd);
    reader.set_switch("spiceagent_mouse", &mut spice.agent_mouse);
    reader.set_switch("spicevdagent", &mut spice.vdagent);
    reader.set_switch("spice_clipboard_sharing", &mut spice.clipboard_sharing);
    reader.set_number("spiceusbredirection", &mut spice.usbredirection);
    reader.set_string("spice_image_compression", &mut spice.image_compression);
    reader.set_string("spice_streaming_video", &mut spice.streaming_video);
}

/// `gfx_passthru`: yes, no, or the kind of adapter.
fn gfx_passthru(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    if let Some(on) = reader.number_if_one("gfx_passthru") {
        hvm.gfx_passthru = (on != 0).into();
    } else if let Some(kind) = reader.text("gfx_passthru")
        && items::choice(kind, "gfx_passthru", &mut hvm.gfx_passthru_kind, reader.diagnostics)
    {
        hvm.gfx_passthru = true.into();
    }
}
