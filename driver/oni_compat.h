/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between the kernels that this driver is built for (6.1 ... 6.12
 * and later). The only file that looks at LINUX_VERSION_CODE. Macros are
 * tested by name where that is possible, since stable kernels backport APIs.
 */
#ifndef ONI_COMPAT_H
#define ONI_COMPAT_H

#include <linux/device.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define oni_class_create(name)	class_create(THIS_MODULE, name)
#else
#define oni_class_create(name)	class_create(name)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define oni_const_device	struct device
#else
#define oni_const_device	const struct device
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void oni_vm_flags_mod(struct vm_area_struct *vma, vm_flags_t set,
				    vm_flags_t clear)
{
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#else
#define oni_vm_flags_mod(vma, set, clear)	vm_flags_mod(vma, set, clear)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
/* A USB driver has the shutdown of the device model, or none. */
#define oni_usb_shutdown_arg	struct device
#define oni_usb_shutdown_intf(arg)	to_usb_interface(arg)
#define ONI_USB_SHUTDOWN	driver.shutdown
#else
#define oni_usb_shutdown_arg	struct usb_interface
#define oni_usb_shutdown_intf(arg)	(arg)
#define ONI_USB_SHUTDOWN	shutdown
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define EXPORT_SYMBOL_ONI(sym)		EXPORT_SYMBOL_NS_GPL(sym, ONI)
#define ONI_IMPORT		MODULE_IMPORT_NS(ONI)

static inline void oni_hrtimer_setup(struct hrtimer *timer,
				     enum hrtimer_restart (*fn)(struct hrtimer *),
				     enum hrtimer_mode mode)
{
	hrtimer_init(timer, CLOCK_MONOTONIC, mode);
	timer->function = fn;
}
#else
#define EXPORT_SYMBOL_ONI(sym)		EXPORT_SYMBOL_NS_GPL(sym, "ONI")
#define ONI_IMPORT		MODULE_IMPORT_NS("ONI")

static inline void oni_hrtimer_setup(struct hrtimer *timer,
				     enum hrtimer_restart (*fn)(struct hrtimer *),
				     enum hrtimer_mode mode)
{
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, mode);
}
#endif

#endif /* ONI_COMPAT_H */
