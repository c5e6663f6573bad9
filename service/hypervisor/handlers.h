/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The members of Domain1 and Hypervisor1 that this layer serves for all drivers. What is NULL in them, a driver may serve. */

#include "interfaces/domain1.h"
#include "interfaces/hypervisor1.h"

extern const VbDomain1Handlers vb_domain_layer_handlers;
extern const VbHypervisor1Handlers vb_hypervisor_layer_handlers;

/* In stats.c: its answer is made of many domains'. */
int vb_hypervisor_on_get_stats(VbCall *call, VbObject *root, const VbHypervisor1GetStatsArgs *args, sd_bus_error *reterr);

/* saved-xml.c */
int vb_hypervisor_on_set_saved_xml(VbCall *call, VbObject *root, const VbHypervisor1SetSavedXmlArgs *args,
                                   sd_bus_error *reterr);
int vb_domain_on_get_managed_save_xml(VbCall *call, VbObject *object, const VbDomain1GetManagedSaveXmlArgs *args,
                                      sd_bus_error *reterr);
int vb_domain_on_set_managed_save_xml(VbCall *call, VbObject *object, const VbDomain1SetManagedSaveXmlArgs *args,
                                      sd_bus_error *reterr);

/* host-bus.c */
const char *vb_hypervisor_get_host_name(VbObject *root);
int vb_hypervisor_on_get_host_info(VbCall *call, VbObject *root, const VbHypervisor1GetHostInfoArgs *args,
                                   sd_bus_error *reterr);
int vb_hypervisor_on_get_host_nodes(VbCall *call, VbObject *root, const VbHypervisor1GetHostNodesArgs *args,
                                    sd_bus_error *reterr);
int vb_hypervisor_on_get_host_cpu_stats(VbCall *call, VbObject *root, const VbHypervisor1GetHostCpuStatsArgs *args,
                                        sd_bus_error *reterr);
int vb_hypervisor_on_get_host_memory_stats(VbCall *call, VbObject *root,
                                           const VbHypervisor1GetHostMemoryStatsArgs *args, sd_bus_error *reterr);
int vb_hypervisor_on_get_page_merging(VbCall *call, VbObject *root, const VbHypervisor1GetPageMergingArgs *args,
                                      sd_bus_error *reterr);
int vb_hypervisor_on_get_sysinfo(VbCall *call, VbObject *root, const VbHypervisor1GetSysinfoArgs *args,
                                 sd_bus_error *reterr);

/* host-tune-bus.c */
int vb_hypervisor_on_set_host_pages(VbCall *call, VbObject *root, const VbHypervisor1SetHostPagesArgs *args,
                                    sd_bus_error *reterr);
int vb_hypervisor_on_set_page_merging(VbCall *call, VbObject *root, const VbHypervisor1SetPageMergingArgs *args,
                                      sd_bus_error *reterr);
int vb_hypervisor_on_suspend_host(VbCall *call, VbObject *root, const VbHypervisor1SuspendHostArgs *args,
                                  sd_bus_error *reterr);

/* lock-bus.c */
const char *vb_domain_get_lease_state(VbObject *object);
int vb_domain_on_get_leases(VbCall *call, VbObject *object, const VbDomain1GetLeasesArgs *args, sd_bus_error *reterr);

/* domain-resources.c */
int vb_domain_on_set_memory(VbCall *call, VbObject *object, const VbDomain1SetMemoryArgs *args,
                            sd_bus_error *reterr);
int vb_domain_on_set_memory_stats_period(VbCall *call, VbObject *object, const VbDomain1SetMemoryStatsPeriodArgs *args,
                                         sd_bus_error *reterr);
int vb_domain_on_set_vcpus(VbCall *call, VbObject *object, const VbDomain1SetVcpusArgs *args,
                           sd_bus_error *reterr);
int vb_domain_on_enable_vcpus(VbCall *call, VbObject *object, const VbDomain1EnableVcpusArgs *args,
                              sd_bus_error *reterr);
int vb_domain_on_list_vcpus(VbCall *call, VbObject *object, const VbDomain1ListVcpusArgs *args,
                            sd_bus_error *reterr);
int vb_domain_on_pin_vcpu(VbCall *call, VbObject *object, const VbDomain1PinVcpuArgs *args,
                          sd_bus_error *reterr);
int vb_domain_on_pin_emulator(VbCall *call, VbObject *object, const VbDomain1PinEmulatorArgs *args,
                              sd_bus_error *reterr);
int vb_domain_on_get_emulator_affinity(VbCall *call, VbObject *object, const VbDomain1GetEmulatorAffinityArgs *args,
                                       sd_bus_error *reterr);
int vb_domain_on_list_io_threads(VbCall *call, VbObject *object, const VbDomain1ListIoThreadsArgs *args,
                                 sd_bus_error *reterr);
int vb_domain_on_add_io_thread(VbCall *call, VbObject *object, const VbDomain1AddIoThreadArgs *args, sd_bus_error *reterr);
int vb_domain_on_remove_io_thread(VbCall *call, VbObject *object, const VbDomain1RemoveIoThreadArgs *args,
                                  sd_bus_error *reterr);
int vb_domain_on_pin_io_thread(VbCall *call, VbObject *object, const VbDomain1PinIoThreadArgs *args, sd_bus_error *reterr);
int vb_domain_on_set_io_thread_tuning(VbCall *call, VbObject *object, const VbDomain1SetIoThreadTuningArgs *args,
                                      sd_bus_error *reterr);
int vb_domain_on_get_io_thread_tuning(VbCall *call, VbObject *object, const VbDomain1GetIoThreadTuningArgs *args,
                                      sd_bus_error *reterr);
int vb_domain_on_set_cpu_tuning(VbCall *call, VbObject *object, const VbDomain1SetCpuTuningArgs *args,
                                sd_bus_error *reterr);
int vb_domain_on_set_memory_tuning(VbCall *call, VbObject *object, const VbDomain1SetMemoryTuningArgs *args,
                                   sd_bus_error *reterr);
int vb_domain_on_set_block_tuning(VbCall *call, VbObject *object, const VbDomain1SetBlockTuningArgs *args,
                                  sd_bus_error *reterr);
int vb_domain_on_set_numa_tuning(VbCall *call, VbObject *object, const VbDomain1SetNumaTuningArgs *args,
                                 sd_bus_error *reterr);
int vb_domain_on_set_disk_tuning(VbCall *call, VbObject *object, const VbDomain1SetDiskTuningArgs *args,
                                 sd_bus_error *reterr);
int vb_domain_on_get_cpu_tuning(VbCall *call, VbObject *object, const VbDomain1GetCpuTuningArgs *args,
                                sd_bus_error *reterr);
int vb_domain_on_get_memory_tuning(VbCall *call, VbObject *object, const VbDomain1GetMemoryTuningArgs *args,
                                   sd_bus_error *reterr);
int vb_domain_on_get_block_tuning(VbCall *call, VbObject *object, const VbDomain1GetBlockTuningArgs *args,
                                  sd_bus_error *reterr);
int vb_domain_on_get_numa_tuning(VbCall *call, VbObject *object, const VbDomain1GetNumaTuningArgs *args,
                                 sd_bus_error *reterr);
int vb_domain_on_get_disk_tuning(VbCall *call, VbObject *object, const VbDomain1GetDiskTuningArgs *args,
                                 sd_bus_error *reterr);
int vb_domain_on_set_interface_tuning(VbCall *call, VbObject *object, const VbDomain1SetInterfaceTuningArgs *args,
                                      sd_bus_error *reterr);
int vb_domain_on_get_interface_tuning(VbCall *call, VbObject *object, const VbDomain1GetInterfaceTuningArgs *args,
                                      sd_bus_error *reterr);
int vb_domain_on_set_lifecycle_action(VbCall *call, VbObject *object, const VbDomain1SetLifecycleActionArgs *args,
                                      sd_bus_error *reterr);

/* domain-job.c */
int vb_domain_on_get_job_stats(VbCall *call, VbObject *object, const VbDomain1GetJobStatsArgs *args, sd_bus_error *reterr);
