/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sound cards, and where their sound goes. */
#include "qemu/command-build.h"

#include <string.h>

#include "base/error.h"

static const char *const sound_drivers[VB_SOUND_MODEL_MAX] = {
        [VB_SOUND_SB16] = "sb16",       [VB_SOUND_ES1370] = "ES1370",        [VB_SOUND_AC97] = "AC97",
        [VB_SOUND_ICH6] = "intel-hda",  [VB_SOUND_ICH9] = "ich9-intel-hda",  [VB_SOUND_USB] = "usb-audio",
};

static const char *const codec_drivers[VB_SOUND_CODEC_TYPE_MAX] = {
        [VB_SOUND_CODEC_ABSENT] = "hda-duplex",
        [VB_SOUND_CODEC_DUPLEX] = "hda-duplex",
        [VB_SOUND_CODEC_MICRO] = "hda-micro",
        [VB_SOUND_CODEC_OUTPUT] = "hda-output",
};

/* HDA controllers are silent: their codecs are devices of their own. */
static bool has_codecs(const VbSound *sound) {
        return sound->model == VB_SOUND_ICH6 || sound->model == VB_SOUND_ICH9;
}

static void add_audiodev(const QemuContext *context, VbJson *device, const VbSound *sound) {
        const VbDomainDefinition *definition = context->definition;
        uint32_t id = sound->audio_id;

        if (id == 0)
                id = definition->audios.n > 0 ? definition->audios.items[0]->id : 1;
        qemu_json_addf(device, "audiodev", "audio%u", id);
}

int qemu_sound_device(const QemuContext *context, const VbSound *sound, VbJson **ret, sd_bus_error *reterr) {
        g_autofree char *what = g_strdup_printf("sound card model '%s'", vb_sound_model_to_string(sound->model));
        VbJson *device;
        int r;

        if (sound->model == VB_SOUND_PCSPK || !sound_drivers[sound->model]) {
                *ret = NULL; /* on the board, see command-machine.c */
                return 0;
        }

        r = qemu_device_new(context, sound_drivers[sound->model], &sound->info, what, &device, reterr);
        if (r < 0)
                return r;
        if (!has_codecs(sound))
                add_audiodev(context, device, sound);
        if (sound->model == VB_SOUND_USB)
                qemu_device_add_tristate(device, "multi", sound->multichannel);
        *ret = device;
        return 0;
}

static int build_codec(QemuBuild *build, const VbSound *sound, VbSoundCodecType type, size_t number,
                       sd_bus_error *reterr) {
        const char *driver = codec_drivers[type];
        VbJson *device;
        int r;

        r = qemu_device_new(&build->context, driver, NULL, driver, &device, reterr);
        if (r < 0)
                return r;

        qemu_json_addf(device, "id", "%s-codec%zu", sound->info.alias, number);
        qemu_json_addf(device, "bus", "%s.0", sound->info.alias);
        qemu_json_add_number(device, "cad", number);
        add_audiodev(&build->context, device, sound);
        qemu_build_add_json(build, "-device", device);
        return 0;
}

static int build_sound(QemuBuild *build, const VbSound *sound, sd_bus_error *reterr) {
        VbJson *device;
        int r;

        r = qemu_sound_device(&build->context, sound, &device, reterr);
        if (r < 0 || !device)
                return r;
        qemu_build_add_json(build, "-device", device);
        if (!has_codecs(sound))
                return 0;

        for (size_t i = 0; i < sound->codecs.n; i++) {
                r = build_codec(build, sound, sound->codecs.items[i]->type, i, reterr);
                if (r < 0)
                        return r;
        }
        if (sound->codecs.n == 0)
                return build_codec(build, sound, VB_SOUND_CODEC_DUPLEX, 0, reterr);
        return 0;
}

static void build_audiodev(QemuBuild *build, uint32_t id, const char *driver, uint32_t timer_period) {
        VbJson *audiodev = qemu_json_new();

        qemu_json_addf(audiodev, "id", "audio%u", id);
        qemu_json_add(audiodev, "driver", driver);
        if (timer_period != 0)
                qemu_json_add_number(audiodev, "timer-period", timer_period);
        qemu_build_add_json(build, "-audiodev", audiodev);
}

int qemu_build_audio(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;

        /* The cards themselves come with the other small devices, after the buses' other occupants. */
        for (size_t i = 0; i < definition->audios.n; i++) {
                const VbAudio *audio = definition->audios.items[i];

                build_audiodev(build, audio->id, vb_audio_type_to_string(audio->type) ?: "none", audio->timer_period);
        }
        if (definition->audios.n == 0 && definition->sounds.n > 0)
                build_audiodev(build, 1, "none", 0);
        return 0;
}

int qemu_build_sounds(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        int r;

        for (size_t i = 0; i < definition->sounds.n; i++) {
                r = build_sound(build, definition->sounds.items[i], reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}
