//! PV sound cards (`sndif.h`).

names! {
    /// The format of a sample (`libxl_vsnd_pcm_format`).
    pub enum VsndPcmFormat {
        S8 = 1 "s8",
        U8 = 2 "u8",
        S16Le = 3 "s16_le",
        S16Be = 4 "s16_be",
        U16Le = 5 "u16_le",
        U16Be = 6 "u16_be",
        S24Le = 7 "s24_le",
        S24Be = 8 "s24_be",
        U24Le = 9 "u24_le",
        U24Be = 10 "u24_be",
        S32Le = 11 "s32_le",
        S32Be = 12 "s32_be",
        U32Le = 13 "u32_le",
        U32Be = 14 "u32_be",
        F32Le = 15 "f32_le",
        F32Be = 16 "f32_be",
        F64Le = 17 "f64_le",
        F64Be = 18 "f64_be",
        Iec958SubframeLe = 19 "iec958_subframe_le",
        Iec958SubframeBe = 20 "iec958_subframe_be",
        MuLaw = 21 "mu_law",
        ALaw = 22 "a_law",
        ImaAdpcm = 23 "ima_adpcm",
        Mpeg = 24 "mpeg",
        Gsm = 25 "gsm",
    }
}

names! {
    /// Which way a stream goes (`libxl_vsnd_stream_type`).
    pub enum VsndStreamType {
        /// Playback.
        P = 1 "p",
        /// Capture.
        C = 2 "c",
    }
}

record! {
    /// What a card, device or stream can do; each takes what it does not say from the one above (`libxl_vsnd_params`).
    pub struct VsndParams {
        /// Samples per second.
        sample_rates: Vec<u32>,
        /// Formats of a sample.
        sample_formats: Vec<VsndPcmFormat>,
        /// The fewest channels.
        channels_min: u32,
        /// The most channels.
        channels_max: u32,
        /// The largest buffer, in bytes.
        buffer_size: u32,
    }
}

record! {
    /// A stream of a device (`libxl_vsnd_stream`).
    pub struct VsndStream {
        /// What the backend knows it by.
        unique_id: Option<String>,
        /// Which way it goes.
        type_ as "type": Option<VsndStreamType>,
        /// What it can do.
        params: VsndParams,
    }
}

record! {
    /// A device of a card (`libxl_vsnd_pcm`).
    pub struct VsndPcm {
        /// Its name.
        name: Option<String>,
        /// What it can do.
        params: VsndParams,
        /// Its streams.
        streams: Vec<VsndStream>,
    }
}

record! {
    /// A sound card (`libxl_device_vsnd`).
    pub struct DeviceVsnd {
        /// The domain that serves it.
        backend_domid: u32,
        /// That domain's name, which goes before the number.
        backend_domname: Option<String>,
        /// Its number in the guest; `None` lets libxl choose.
        devid: Option<u32>,
        /// Its short name.
        short_name: Option<String>,
        /// Its long name.
        long_name: Option<String>,
        /// What it can do.
        params: VsndParams,
        /// Its devices.
        pcms: Vec<VsndPcm>,
    }
}
