/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The members of Domain1 and Hypervisor1 that only this driver serves: they need an emulator's monitor, terminals or memory. */

#include "bus/call.h"
#include "interfaces/domain1.h"
#include "interfaces/hypervisor1.h"

/* domain-open.c */
int qemu_on_open_console(VbCall *call, VbObject *object, const VbDomain1OpenConsoleArgs *args, sd_bus_error *reterr);
int qemu_on_open_channel(VbCall *call, VbObject *object, const VbDomain1OpenChannelArgs *args, sd_bus_error *reterr);
int qemu_on_open_display(VbCall *call, VbObject *object, const VbDomain1OpenDisplayArgs *args, sd_bus_error *reterr);
int qemu_on_connect_display(VbCall *call, VbObject *object, const VbDomain1ConnectDisplayArgs *args, sd_bus_error *reterr);
int qemu_on_screenshot(VbCall *call, VbObject *object, const VbDomain1ScreenshotArgs *args, sd_bus_error *reterr);

/* domain-talk.c */
int qemu_on_send_keys(VbCall *call, VbObject *object, const VbDomain1SendKeysArgs *args, sd_bus_error *reterr);
int qemu_on_guest_agent_command(VbCall *call, VbObject *object, const VbDomain1GuestAgentCommandArgs *args,
                                sd_bus_error *reterr);
int qemu_on_monitor_command(VbCall *call, VbObject *object, const VbDomain1MonitorCommandArgs *args, sd_bus_error *reterr);
int qemu_on_watch_monitor(VbCall *call, VbObject *object, const VbDomain1WatchMonitorArgs *args, sd_bus_error *reterr);

/* domain-save.c */
int qemu_on_save(VbCall *call, VbObject *object, const VbDomain1SaveArgs *args, sd_bus_error *reterr);
int qemu_on_managed_save(VbCall *call, VbObject *object, const VbDomain1ManagedSaveArgs *args, sd_bus_error *reterr);
int qemu_on_remove_managed_save(VbCall *call, VbObject *object, const VbDomain1RemoveManagedSaveArgs *args,
                                sd_bus_error *reterr);
int qemu_on_core_dump(VbCall *call, VbObject *object, const VbDomain1CoreDumpArgs *args, sd_bus_error *reterr);

/* domain-disk.c */
int qemu_on_get_disk_info(VbCall *call, VbObject *object, const VbDomain1GetDiskInfoArgs *args, sd_bus_error *reterr);
int qemu_on_get_disk_errors(VbCall *call, VbObject *object, const VbDomain1GetDiskErrorsArgs *args, sd_bus_error *reterr);
int qemu_on_resize_disk(VbCall *call, VbObject *object, const VbDomain1ResizeDiskArgs *args, sd_bus_error *reterr);

/* domain-threshold.c */
int qemu_on_set_block_threshold(VbCall *call, VbObject *object, const VbDomain1SetBlockThresholdArgs *args, sd_bus_error *reterr);

/* domain-peek.c */
int qemu_on_read_disk(VbCall *call, VbObject *object, const VbDomain1ReadDiskArgs *args, sd_bus_error *reterr);
int qemu_on_read_memory(VbCall *call, VbObject *object, const VbDomain1ReadMemoryArgs *args, sd_bus_error *reterr);

/* domain-addresses.c */
int qemu_on_get_host_addresses(VbCall *call, VbObject *object, const VbDomain1GetHostAddressesArgs *args, sd_bus_error *reterr);

/* viewers.c */
int qemu_on_get_display_client(VbCall *call, VbObject *object, const VbDomain1GetDisplayClientArgs *args,
                               sd_bus_error *reterr);

/* domain-control.c */
int qemu_on_inject_nmi(VbCall *call, VbObject *object, const VbDomain1InjectNmiArgs *args, sd_bus_error *reterr);
int qemu_on_sleep(VbCall *call, VbObject *object, const VbDomain1SleepArgs *args, sd_bus_error *reterr);
int qemu_on_get_control_state(VbCall *call, VbObject *object, const VbDomain1GetControlStateArgs *args, sd_bus_error *reterr);
int qemu_on_get_messages(VbCall *call, VbObject *object, const VbDomain1GetMessagesArgs *args, sd_bus_error *reterr);

/* hypervisor-capabilities.c */
typedef struct QemuDriver QemuDriver;
void qemu_host_questions_forget(QemuDriver *driver);
int qemu_on_get_capabilities(VbCall *call, VbObject *root, const VbHypervisor1GetCapabilitiesArgs *args, sd_bus_error *reterr);
int qemu_on_get_domain_capabilities(VbCall *call, VbObject *root, const VbHypervisor1GetDomainCapabilitiesArgs *args,
                                    sd_bus_error *reterr);
int qemu_on_get_hypervisor_info(VbCall *call, VbObject *root, const VbHypervisor1GetHypervisorInfoArgs *args,
                                sd_bus_error *reterr);

/* hypervisor-command.c */
int qemu_on_get_command_line(VbCall *call, VbObject *root, const VbHypervisor1GetCommandLineArgs *args,
                             sd_bus_error *reterr);

/* hypervisor-cpu.c */
int qemu_on_compare_cpu(VbCall *call, VbObject *root, const VbHypervisor1CompareCpuArgs *args, sd_bus_error *reterr);
int qemu_on_baseline_cpu(VbCall *call, VbObject *root, const VbHypervisor1BaselineCpuArgs *args, sd_bus_error *reterr);
