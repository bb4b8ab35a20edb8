// SPDX-License-Identifier: GPL-2.0-only
/*
 * FT600 bridge: binding, the chip's own requests, power management. See
 * oni_ft600.h for locks and lifetime.
 *
 * The ids are those of every product with this chip, so the product string
 * decides, then the descriptors, then the settings of the chip. Interface 1 has
 * the pipes of the board and is what is matched; interface 0, through which all
 * reading is asked for, is claimed along with it. Whichever of them goes takes
 * the other one along.
 *
 * Pin 0 of the chip holds the FIFOs of the board in reset while it is high. It
 * is high from the end of the driver to the next probe.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/usb.h>

#include "oni_compat.h"
#include "oni_ft600.h"

#define FT600_VENDOR		0x0403
#define FT600_PRODUCT		0x601e
#define FT600_BOARD		"Open Ephys FT600 USB board"
#define FT600_INTF_SESSION	0
#define FT600_INTF_DATA		1

#define FIFO_RESET_MS		10
#define FIFO_SETTLE_MS		1

static char *credit = "request";
module_param(credit, charp, 0444);
MODULE_PARM_DESC(credit, "how the chip is asked for data: request (default), one session after the other, or stream");

static const char * const credit_names[] = { "request", "stream" };
static const u32 credit_cmds[] = { FT600_SESSION_READ, FT600_SESSION_STREAM };
static u32 credit_cmd;

static struct usb_driver ft600_driver;

/* --- requests of the chip ------------------------------------------------- */

/* A request that failed, in the words of the core. */
static int chip_error(struct ft600 *f, int err)
{
	if (err == -ENODEV || err == -ESHUTDOWN) {
		ft600_lost(f);
		return -ENODEV;
	}
	return err == -ETIMEDOUT || err == -ENOMEM ? err : -EIO;
}

static int chip_read(struct ft600 *f, u8 request, u32 addr, void *buf, u16 len)
{
	/* The exact length, or an error. */
	int ret = usb_control_msg_recv(f->udev, 0, request,
				       USB_DIR_IN | USB_TYPE_VENDOR,
				       addr >> 16, addr, buf, len,
				       USB_CTRL_GET_TIMEOUT, GFP_NOIO);

	return ret ? chip_error(f, ret) : 0;
}

static int chip_write(struct ft600 *f, u8 request, u32 addr, const void *buf,
		      u16 len)
{
	int ret = usb_control_msg_send(f->udev, 0, request,
				       USB_DIR_OUT | USB_TYPE_VENDOR,
				       addr >> 16, addr, buf, len,
				       USB_CTRL_SET_TIMEOUT, GFP_NOIO);

	return ret ? chip_error(f, ret) : 0;
}

static int gpio(struct ft600 *f, u16 what, u8 pins)
{
	u8 data[2] = { pins, 0 };

	return chip_write(f, FT600_REQ_GPIO, (u32)what << 16, data,
			  sizeof(data));
}

/* Once after power-on or a reset of the bus. */
static int chip_setup(struct ft600 *f)
{
	int ret;

	ret = gpio(f, FT600_GPIO_PULL, FT600_GPIO0(1) | FT600_GPIO1(1));
	/* The level before the direction, so that there is no pulse. */
	if (!ret)
		ret = gpio(f, FT600_GPIO_WRITE, FT600_GPIO0(0));
	if (!ret)
		ret = gpio(f, FT600_GPIO_DIRECTION, FT600_GPIO0(1));
	if (!ret)
		f->chip_ready = true;
	return ret;
}

/* What is in the chip is of no use to anybody. */
static int chip_flush(struct ft600 *f)
{
	static const struct {
		u8 ep;
		u8 cmd;
	} step[] = {
		{ FT600_EP_DATA, FT600_SESSION_ABORT },
		{ FT600_EP_DATA, FT600_SESSION_FLUSH },
		{ FT600_EP_REPLY, FT600_SESSION_ABORT },
		{ FT600_EP_REPLY, FT600_SESSION_FLUSH },
		{ FT600_EP_WRITE, FT600_SESSION_FLUSH },
	};
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < ARRAY_SIZE(step); i++)
		ret = ft600_session(f, step[i].ep, step[i].cmd, 0);
	return ret;
}

/**
 * ft600_chip_reset - empty the FIFOs of board and chip
 * @f: the board, with nothing in flight
 *
 * After a failure the FIFOs may be held in reset, and nothing is to be sent.
 *
 * Return: 0, or -ENOMEM, -ETIMEDOUT, -EIO, -ENODEV.
 */
int ft600_chip_reset(struct ft600 *f)
{
	int ret;

	f->held = true;
	ret = f->chip_ready ? 0 : chip_setup(f);
	if (!ret)
		ret = gpio(f, FT600_GPIO_WRITE, FT600_GPIO0(1));
	if (ret)
		return ret;
	msleep(FIFO_RESET_MS);
	ret = chip_flush(f);
	if (!ret)
		ret = gpio(f, FT600_GPIO_WRITE, FT600_GPIO0(0));
	fsleep(FIFO_SETTLE_MS * USEC_PER_MSEC);
	f->held = ret != 0;
	return ret;
}

/* One bit of the chip must be set for the host's sake. */
static int chip_prepare(struct ft600 *f)
{
	__le32 word;
	u32 control;
	int ret;

	ret = chip_read(f, FT600_REQ_MEMORY, FT600_MEM_CONTROL, &word,
			sizeof(word));
	if (ret)
		return ret;
	control = le32_to_cpu(word);
	if (control & FT600_MEM_CONTROL_SET)
		return 0;
	word = cpu_to_le32(control | FT600_MEM_CONTROL_SET);
	return chip_write(f, FT600_REQ_MEMORY, FT600_MEM_CONTROL, &word,
			  sizeof(word));
}

/* Is the chip set up as the board has it? */
static int chip_check(struct ft600 *f)
{
	struct device *dev = &f->data_intf->dev;
	u8 config[FT600_CONFIG_BYTES];
	int ret;

	ret = chip_read(f, FT600_REQ_CONFIG, 1 << 16, config, sizeof(config));
	if (ret) {
		dev_info(dev, "the chip does not tell its settings (%d), left alone\n",
			 ret);
		return ret;
	}
	if (oni_ft600_config_ok(config))
		return 0;
	dev_info(dev, "chip settings are not those of the board: mode %u, options 0x%04x, left alone\n",
		 config[FT600_CONFIG_MODE],
		 config[FT600_CONFIG_OPTIONS] |
		 config[FT600_CONFIG_OPTIONS + 1] << 8);
	return -ENODEV;
}

/* --- binding -------------------------------------------------------------- */

/* Another product with this chip is nothing to talk about. */
static bool is_board(const struct usb_device *udev)
{
	return udev->product && !strcmp(udev->product, FT600_BOARD);
}

static bool shape_ok(struct usb_interface *data, struct usb_interface *session)
{
	static const u8 data_eps[] = {
		FT600_EP_WRITE, FT600_EP_DATA, FT600_EP_COMMAND, FT600_EP_REPLY, 0
	};
	static const u8 session_eps[] = { FT600_EP_SESSION, 0 };
	struct usb_device *udev = interface_to_usbdev(data);
	u32 packet;

	if (!session || !usb_check_bulk_endpoints(data, data_eps) ||
	    !usb_check_bulk_endpoints(session, session_eps))
		return false;
	/* A transfer must be a whole number of packets. */
	packet = usb_maxpacket(udev, usb_rcvbulkpipe(udev, FT600_EP_DATA));
	if (!packet || FT600_BLOCK_ALIGN % packet)
		return false;
	return usb_maxpacket(udev, usb_rcvbulkpipe(udev, FT600_EP_REPLY));
}

static void ft600_free(struct ft600 *f)
{
	ft600_link_free(f);
	kfree(f);
}

static struct ft600 *ft600_alloc(struct usb_interface *data,
				 struct usb_interface *session)
{
	struct ft600 *f = kzalloc(sizeof(*f), GFP_KERNEL);

	if (!f)
		return NULL;
	f->udev = interface_to_usbdev(data);
	f->data_intf = data;
	f->session_intf = session;
	if (ft600_link_init(f)) {
		ft600_free(f);
		return NULL;
	}
	f->data.cmd = credit_cmd;
	return f;
}

/* Both interfaces, or none. */
static int claim(struct ft600 *f)
{
	int ret = usb_driver_claim_interface(&ft600_driver, f->session_intf, f);

	if (ret)
		return ret;
	usb_set_intfdata(f->data_intf, f);
	return 0;
}

/* @going: the interface that the bus takes from us, or that is not bound yet. */
static void unclaim(struct ft600 *f, struct usb_interface *going)
{
	struct usb_interface *other = going == f->data_intf ? f->session_intf :
							      f->data_intf;

	/* Its disconnect finds nothing to do. */
	usb_set_intfdata(going, NULL);
	usb_set_intfdata(other, NULL);
	usb_driver_release_interface(&ft600_driver, other);
}

/* The end of all traffic, in a state that the next owner can begin with. */
static void hold_fifos(struct ft600 *f)
{
	int ret;

	ft600_quiet(f);
	ret = gpio(f, FT600_GPIO_WRITE, FT600_GPIO0(1));
	if (ret && ret != -ENODEV && !oni_link_is_lost(f->link))
		dev_warn(&f->data_intf->dev,
			 "the board's FIFOs could not be put into reset: %d\n",
			 ret);
}

static int bring_up(struct ft600 *f)
{
	int ret = chip_prepare(f);

	if (!ret)
		ret = oni_link_register(f->link);
	if (!ret)
		return 0;
	dev_info(&f->data_intf->dev,
		 "no ONI controller answers behind this chip (%d), left alone\n",
		 ret);
	oni_link_unregister(f->link);
	hold_fifos(f);
	return ret;
}

static int ft600_probe(struct usb_interface *intf,
		       const struct usb_device_id *id)
{
	struct usb_device *udev = interface_to_usbdev(intf);
	struct usb_interface *session;
	struct ft600 *f;
	int ret;

	if (!is_board(udev))
		return -ENODEV;
	session = usb_ifnum_to_if(udev, FT600_INTF_SESSION);
	if (intf == session || !shape_ok(intf, session)) {
		dev_info(&intf->dev, "endpoints are not those of the board, left alone\n");
		return -ENODEV;
	}
	f = ft600_alloc(intf, session);
	if (!f)
		return -ENOMEM;
	f->link = oni_link_alloc(&intf->dev, &ft600_ops, THIS_MODULE, f);
	if (IS_ERR(f->link)) {
		ret = PTR_ERR(f->link);
		goto err_free;
	}
	ret = claim(f);
	if (ret) {
		dev_info(&intf->dev, "interface %d belongs to somebody else, left alone\n",
			 FT600_INTF_SESSION);
		ret = -ENODEV;
		goto err_link;
	}
	ret = chip_check(f);
	if (!ret)
		ret = bring_up(f);
	if (!ret)
		return 0;

	/* The bus would print a second line for other errors. */
	if (ret != -ENOMEM)
		ret = -ENODEV;
	unclaim(f, intf);
err_link:
	oni_link_free(f->link);
err_free:
	ft600_free(f);
	return ret;
}

/*
 * Unplugged, or unbound while it is there: then it is stopped and made safe
 * first, which soft_unbind leaves the pipes for.
 */
static void ft600_disconnect(struct usb_interface *intf)
{
	struct ft600 *f = usb_get_intfdata(intf);

	if (!f)
		return;
	if (f->udev->state == USB_STATE_NOTATTACHED)
		ft600_lost(f);
	oni_link_unregister(f->link);
	hold_fifos(f);
	unclaim(f, intf);
	oni_link_free(f->link);
	ft600_free(f);
}

/* --- power management, resets of the bus ---------------------------------- */

static void freeze(struct ft600 *f, bool frozen)
{
	unsigned long flags;

	spin_lock_irqsave(&f->lock, flags);
	f->frozen = frozen;
	spin_unlock_irqrestore(&f->lock, flags);
}

/* Of the two interfaces one does it; it goes to sleep first and wakes up last. */
static struct ft600 *board_of(struct usb_interface *intf)
{
	struct ft600 *f = usb_get_intfdata(intf);

	return f && intf == f->data_intf ? f : NULL;
}

static int ft600_pause(struct usb_interface *intf)
{
	struct ft600 *f = board_of(intf);

	if (!f)
		return 0;
	oni_link_quiesce(f->link);
	freeze(f, true);
	ft600_quiet(f);
	return 0;
}

/*
 * The board may have lost its power, and what it then has are armed stimulators:
 * the controller is reset in any case, and nothing is started.
 */
static int ft600_unpause(struct usb_interface *intf)
{
	struct ft600 *f = board_of(intf);
	int ret;

	if (!f)
		return 0;
	f->chip_ready = false;
	freeze(f, false);
	ret = oni_link_resume(f->link);
	if (ret && ret != -ENODEV)
		dev_warn(&intf->dev, "controller did not come back after a pause: %d\n",
			 ret);
	return 0;
}

static int ft600_suspend(struct usb_interface *intf, pm_message_t message)
{
	return ft600_pause(intf);
}

static void ft600_shutdown(oni_usb_shutdown_arg *arg)
{
	struct ft600 *f = board_of(oni_usb_shutdown_intf(arg));

	if (!f)
		return;
	oni_link_shutdown(f->link);
	hold_fifos(f);
}

static const struct usb_device_id ft600_ids[] = {
	{ USB_DEVICE_INTERFACE_NUMBER(FT600_VENDOR, FT600_PRODUCT,
				      FT600_INTF_DATA) },
	{ }
};
MODULE_DEVICE_TABLE(usb, ft600_ids);

static struct usb_driver ft600_driver = {
	.name = "oni_ft600",
	.id_table = ft600_ids,
	.probe = ft600_probe,
	.disconnect = ft600_disconnect,
	.suspend = ft600_suspend,
	.resume = ft600_unpause,
	.reset_resume = ft600_unpause,
	.pre_reset = ft600_pause,
	.post_reset = ft600_unpause,
	.ONI_USB_SHUTDOWN = ft600_shutdown,
	.soft_unbind = 1,
};

static int __init ft600_init(void)
{
	int i = match_string(credit_names, ARRAY_SIZE(credit_names), credit);

	if (i < 0) {
		pr_err("oni_ft600: credit=%s is neither request nor stream\n",
		       credit);
		return -EINVAL;
	}
	credit_cmd = credit_cmds[i];
	return usb_register(&ft600_driver);
}

static void __exit ft600_exit(void)
{
	usb_deregister(&ft600_driver);
}

module_init(ft600_init);
module_exit(ft600_exit);

ONI_IMPORT;
MODULE_DESCRIPTION("Open Ephys Acquisition Board (FT600 USB3). Research use only, not a medical device.");
MODULE_LICENSE("GPL");
