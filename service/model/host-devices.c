/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What in a definition reaches beyond its owner's own files and network traffic, into the host itself. */

#include <string.h>

#include "model/domain.h"

static bool disk_is_of_host(const VbDisk *disk) {
        if (disk->type == VB_DISK_TYPE_BLOCK)
                return true;
        for (const VbBackingStore *backing = disk->backing; backing; backing = backing->backing)
                if (backing->type == VB_DISK_TYPE_BLOCK)
                        return true;
        return false;
}

static bool chardevs_are_of_host(VbChardev *const *items, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (items[i]->source.type == VB_CHAR_DEV)
                        return true;
        return false;
}

/* These two are for everyone. */
static bool rng_is_of_host(const VbRng *rng) {
        return rng->backend == VB_RNG_BACKEND_RANDOM && rng->path && strcmp(rng->path, "/dev/urandom") != 0 &&
               strcmp(rng->path, "/dev/random") != 0;
}

static bool uses_device(const VbDomainDefinition *definition) {
        for (size_t i = 0; i < definition->disks.n; i++)
                if (disk_is_of_host(definition->disks.items[i]))
                        return true;
        for (size_t i = 0; i < definition->redirdevs.n; i++)
                if (definition->redirdevs.items[i]->source.type == VB_CHAR_DEV)
                        return true;
        for (size_t i = 0; i < definition->rngs.n; i++)
                if (rng_is_of_host(definition->rngs.items[i]))
                        return true;
        return chardevs_are_of_host(definition->serials.items, definition->serials.n) ||
               chardevs_are_of_host(definition->parallels.items, definition->parallels.n) ||
               chardevs_are_of_host(definition->consoles.items, definition->consoles.n) ||
               chardevs_are_of_host(definition->channels.items, definition->channels.n);
}

static bool uses_network(const VbDomainDefinition *definition) {
        for (size_t i = 0; i < definition->interfaces.n; i++)
                if (definition->interfaces.items[i]->type != VB_INTERFACE_USER)
                        return true;
        return false;
}

/* A lease keeps others' guests from starting, and its place is on the host. */
static bool uses_leases(const VbDomainDefinition *definition) {
        return definition->leases.n > 0;
}

bool vb_domain_definition_uses_host(const VbDomainDefinition *definition) {
        const VbCommandline *commandline = definition->commandline;

        /* Words for the emulator itself can ask for anything. */
        return (commandline && (commandline->args.n > 0 || commandline->env.n > 0)) || uses_network(definition) ||
               uses_device(definition) || uses_leases(definition);
}
