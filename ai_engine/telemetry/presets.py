"""What exporters call the columns of a machine, and what they are called here.

Gauges only: a counter, as ``node_cpu_seconds_total`` is, has to become a rate where it is queried, and means
nothing under another name. The time and the machine need no preset: they are recognised (see `recognition`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PRESETS: Final[Mapping[str, Mapping[str, str]]] = {
    "node_exporter": {
        "node_load1": "load_1m",
        "node_load5": "load_5m",
        "node_load15": "load_15m",
        "node_memory_MemTotal_bytes": "memory_total_bytes",
        "node_memory_MemAvailable_bytes": "memory_available_bytes",
        "node_filesystem_size_bytes": "disk_total_bytes",
        "node_filesystem_avail_bytes": "disk_available_bytes",
        "node_procs_running": "processes_running",
    },
    "libvirt_exporter": {
        "libvirt_domain_info_virtual_cpus": "cpu_cores",
        "libvirt_domain_info_maximum_memory_bytes": "memory_total_bytes",
        "libvirt_domain_info_memory_usage_bytes": "memory_used_bytes",
        "libvirt_domain_memory_stats_available_bytes": "memory_available_bytes",
        "libvirt_domain_memory_stats_rss_bytes": "memory_resident_bytes",
        "libvirt_domain_memory_stats_usable_bytes": "memory_usable_bytes",
    },
    "vcenter": {
        "cpu.usage.average": "cpu_percent",
        "cpu.usagemhz.average": "cpu_mhz",
        "cpu.ready.summation": "cpu_ready_ms",
        "mem.usage.average": "memory_percent",
        "mem.consumed.average": "memory_used_kib",
        "disk.usage.average": "disk_kib_per_second",
        "net.usage.average": "network_kib_per_second",
    },
}
