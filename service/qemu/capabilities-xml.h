/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The answers of GetCapabilities and GetDomainCapabilities (see qemu/choice.h), in the formats of libvirt 9.0. They say what
 * virtbus does, not all that QEMU could do; where they differ from libvirt's answer on the same host,
 * docs/capabilities.md says why. */

#include "model/host.h"
#include "qemu/capabilities.h"

/* xml (borrowed), or if it is NULL the error. Comes later, from the loop, exactly once unless the request is
 * freed first; it may free the request. */
typedef void (*QemuCapabilitiesXmlCallback)(const char *xml, const sd_bus_error *error, void *userdata);

typedef struct QemuCapabilitiesXmlRequest QemuCapabilitiesXmlRequest;

/* <capabilities>: the host, and what each emulator on it offers. Asks those that are not known yet. An
 * emulator that cannot be asked is left out with a warning; EmulatorFailed if there are some, and none could
 * be asked. */
int qemu_capabilities_get_host_xml(QemuCapabilitiesManager *manager, QemuCapabilitiesXmlCallback callback,
                                   void *userdata, QemuCapabilitiesXmlRequest **ret,
                                   sd_bus_error *reterr) VB_MUST_USE;

/* Cancels if it is not answered yet. Takes NULL, returns NULL. Must be called after the answer, too. */
QemuCapabilitiesXmlRequest *qemu_capabilities_xml_request_free(QemuCapabilitiesXmlRequest *request);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuCapabilitiesXmlRequest, qemu_capabilities_xml_request_free)

/* --- The formats alone, from facts --- */

typedef struct QemuGuestKind {
        const QemuEmulator *emulator;
        QemuCapabilities *capabilities;
} QemuGuestKind;

/* owner is who guests of root run as. To be freed. */
char *qemu_host_capabilities_format(const VbHost *host, const QemuGuestKind *guests, size_t n_guests,
                                    uid_t owner_uid, gid_t owner_gid);

char *qemu_domain_capabilities_format(const QemuCapabilities *capabilities, const char *arch,
                                      const QemuMachine *machine, QemuAccel accel);
