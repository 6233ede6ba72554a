//! The JSON form of the types against text that stock libxl 4.17.7 wrote.

use libxl::types::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Reads the text as a `T` and writes it again.
fn rewrite<T: Serialize + DeserializeOwned>(text: &str) -> String {
    json::to_string(&json::from_str::<T>(text).unwrap())
}

/// Rewrites a text by its libxl type name; `None` for a name that is not in the list.
macro_rules! rewrite_by_name {
    ($name:expr, $text:expr; $($libxl:literal $ty:ty,)*) => {
        match $name {
            $($libxl => Some(rewrite::<$ty>($text)),)*
            _ => None,
        }
    };
}

fn rewrite_any(name: &str, text: &str) -> Option<String> {
    rewrite_by_name! { name, text;
        "libxl_error" libxl::ErrorKind,
        "libxl_domain_type" DomainType,
        "libxl_rdm_reserve_strategy" RdmReserveStrategy,
        "libxl_rdm_reserve_policy" RdmReservePolicy,
        "libxl_channel_connection" ChannelConnection,
        "libxl_device_model_version" DeviceModelVersion,
        "libxl_console_type" ConsoleType,
        "libxl_disk_format" DiskFormat,
        "libxl_disk_backend" DiskBackend,
        "libxl_disk_specification" DiskSpecification,
        "libxl_disk_transport" DiskTransport,
        "libxl_nic_type" NicType,
        "libxl_action_on_shutdown" ActionOnShutdown,
        "libxl_trigger" Trigger,
        "libxl_tsc_mode" TscMode,
        "libxl_gfx_passthru_kind" GfxPassthruKind,
        "libxl_timer_mode" TimerMode,
        "libxl_bios_type" BiosType,
        "libxl_scheduler" Scheduler,
        "libxl_shutdown_reason" ShutdownReason,
        "libxl_vga_interface_type" VgaInterfaceType,
        "libxl_vendor_device" VendorDevice,
        "libxl_viridian_enlightenment" ViridianEnlightenment,
        "libxl_hdtype" Hdtype,
        "libxl_checkpointed_stream" CheckpointedStream,
        "libxl_vuart_type" VuartType,
        "libxl_vkb_backend" VkbBackend,
        "libxl_passthrough" Passthrough,
        "libxl_ioport_range" IoportRange,
        "libxl_iomem_range" IomemRange,
        "libxl_vga_interface_info" VgaInterfaceInfo,
        "libxl_vnc_info" VncInfo,
        "libxl_spice_info" SpiceInfo,
        "libxl_sdl_info" SdlInfo,
        "libxl_dominfo" DomInfo,
        "libxl_cpupoolinfo" CpupoolInfo,
        "libxl_channelinfo" ChannelInfo,
        "libxl_vminfo" VmInfo,
        "libxl_version_info" VersionInfo,
        "libxl_domain_create_info" DomainCreateInfo,
        "libxl_domain_restore_params" DomainRestoreParams,
        "libxl_sched_params" SchedParams,
        "libxl_vcpu_sched_params" VcpuSchedParams,
        "libxl_domain_sched_params" DomainSchedParams,
        "libxl_vnode_info" VnodeInfo,
        "libxl_gic_version" GicVersion,
        "libxl_tee_type" TeeType,
        "libxl_rdm_reserve" RdmReserve,
        "libxl_altp2m_mode" Altp2mMode,
        "libxl_domain_build_info" DomainBuildInfo,
        "libxl_device_vfb" DeviceVfb,
        "libxl_device_vkb" DeviceVkb,
        "libxl_device_disk" DeviceDisk,
        "libxl_device_nic" DeviceNic,
        "libxl_device_pci" DevicePci,
        "libxl_device_rdm" DeviceRdm,
        "libxl_usbctrl_type" UsbctrlType,
        "libxl_usbdev_type" UsbdevType,
        "libxl_device_usbctrl" DeviceUsbctrl,
        "libxl_device_usbdev" DeviceUsbdev,
        "libxl_device_dtdev" DeviceDtdev,
        "libxl_device_vtpm" DeviceVtpm,
        "libxl_device_p9" DeviceP9,
        "libxl_device_pvcallsif" DevicePvcallsif,
        "libxl_device_channel" DeviceChannel,
        "libxl_connector_param" ConnectorParam,
        "libxl_device_vdispl" DeviceVdispl,
        "libxl_vsnd_pcm_format" VsndPcmFormat,
        "libxl_vsnd_params" VsndParams,
        "libxl_vsnd_stream_type" VsndStreamType,
        "libxl_vsnd_stream" VsndStream,
        "libxl_vsnd_pcm" VsndPcm,
        "libxl_device_vsnd" DeviceVsnd,
        "libxl_domain_config" DomainConfig,
        "libxl_diskinfo" DiskInfo,
        "libxl_nicinfo" NicInfo,
        "libxl_vtpminfo" VtpmInfo,
        "libxl_usbctrlinfo" UsbctrlInfo,
        "libxl_vcpuinfo" VcpuInfo,
        "libxl_physinfo" PhysInfo,
        "libxl_connectorinfo" ConnectorInfo,
        "libxl_vdisplinfo" VdisplInfo,
        "libxl_streaminfo" StreamInfo,
        "libxl_pcminfo" PcmInfo,
        "libxl_vsndinfo" VsndInfo,
        "libxl_vkbinfo" VkbInfo,
        "libxl_numainfo" NumaInfo,
        "libxl_cputopology" CpuTopology,
        "libxl_pcitopology" PciTopology,
        "libxl_sched_credit_params" SchedCreditParams,
        "libxl_sched_credit2_params" SchedCredit2Params,
        "libxl_domain_remus_info" DomainRemusInfo,
        "libxl_event_type" EventType,
        "libxl_event" Event,
        "libxl_psr_cmt_type" PsrCmtType,
        "libxl_psr_cbm_type" PsrCbmType,
        "libxl_psr_cat_info" PsrCatInfo,
        "libxl_psr_feat_type" PsrFeatType,
        "libxl_psr_hw_info" PsrHwInfo,
    }
}

/// `libxl_NAME: JSON` for every type of the IDL, filled with random values by libxl's own `testidl`.
#[test]
fn every_type_of_the_idl() {
    let golden = include_str!("fixtures/testidl.txt");
    let types: Vec<_> = golden.split("\n\nlibxl_").map(|entry| entry.trim_start_matches("libxl_").trim_end()).collect();
    assert_eq!(types.len(), 99);
    for entry in types {
        let (name, text) = entry.split_once(": ").unwrap();
        let ours = rewrite_any(&format!("libxl_{name}"), text);
        assert_eq!(ours.as_deref(), Some(text), "libxl_{name}");
    }
}

/// What `xl create` stored below `/var/lib/xen` for a guest with disks, a framebuffer, a 9p share and a channel.
#[test]
fn stored_configurations() {
    for text in [
        include_str!("fixtures/userdata-dom0.json"),
        include_str!("fixtures/userdata-pv.json"),
        include_str!("fixtures/userdata-pv-drivers.json"),
        include_str!("fixtures/userdata-hvm.json"),
    ] {
        assert_eq!(rewrite::<DomainConfig>(text) + "\n", text);
    }
}

/// An entry of `xl list -l`.
#[derive(Serialize, Deserialize)]
struct Listed {
    domid: u32,
    config: DomainConfig,
}

/// What `xl list -l` printed.
#[test]
fn listed_configurations() {
    let text = include_str!("fixtures/list-l.json");
    assert_eq!(rewrite::<Vec<Listed>>(text) + "\n\n", text);
}
