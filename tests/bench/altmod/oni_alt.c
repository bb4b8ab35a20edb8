// SPDX-License-Identifier: GPL-2.0-only
/*
 * oni_alt - the other design: one blocking call per block into user memory.
 *
 * Test-only. It stands for what general drivers of such cards do, in its plain
 * form and correct, so that oni_riffa has something to be compared with: wait
 * until the card announces a block, pin and map the caller's pages,
 * acknowledge, post the list, sleep until the card is done, unmap, return.
 *
 * The card's rules are those in oni_riffa.c. Signals (channel 3) are never
 * acknowledged; the card keeps them.
 *
 * Locking: @call serialises the calls; @lock (irqsave) protects @events, which
 * the interrupt handler collects. DMA memory is given back only after the
 * card has said that it is done, or after a reset of it.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "oni_alt.h"
#include "oni_riffa_regs.h"

#define TIMEOUT		msecs_to_jiffies(5000)
#define PAGES_MAX	RIFFA_SG_MAX
#define RESET_MS	5

/* What the card reads and writes besides the caller's pages. */
struct alt_dma {
	__le32 up_sg[RIFFA_SG_MAX * RIFFA_SG_WORDS];
	__le32 down_sg[RIFFA_SG_WORDS];
	__le32 down_word;
	__le32 up_word;
};

struct alt {
	struct pci_dev *pdev;
	void __iomem *bar;
	struct miscdevice misc;
	struct alt_dma *dma;
	dma_addr_t dma_addr;
	struct mutex call;		/* one call at a time */
	wait_queue_head_t wait;
	struct page *page[PAGES_MAX];

	spinlock_t lock;		/* the two below */
	u32 events[ONIX_CHANNELS];
	u32 up_words[ONIX_CHANNELS];
};

static irqreturn_t alt_irq(int irq, void *data)
{
	struct alt *a = data;
	unsigned int ch;
	u32 vec;

	spin_lock(&a->lock);
	vec = ioread32(a->bar + RIFFA_VECTOR0);
	for (ch = 0; ch < ONIX_CHANNELS; ch++) {
		u32 ev = vec >> (ch * RIFFA_EV_BITS) & RIFFA_EV_MASK;
		void __iomem *page = a->bar + RIFFA_PAGE(ch);

		if (ev & RIFFA_EV_UP_DONE)
			a->up_words[ch] = ioread32(page + RIFFA_UP_DONE_LEN);
		if (ev & RIFFA_EV_DOWN_DONE)
			ioread32(page + RIFFA_DOWN_DONE_LEN);
		a->events[ch] |= ev;
	}
	spin_unlock(&a->lock);
	wake_up(&a->wait);
	return IRQ_HANDLED;
}

/* Take all of @mask out of the channel's events, or none. */
static bool take(struct alt *a, unsigned int ch, u32 mask)
{
	unsigned long flags;
	bool all;

	spin_lock_irqsave(&a->lock, flags);
	all = (a->events[ch] & mask) == mask;
	if (all)
		a->events[ch] &= ~mask;
	spin_unlock_irqrestore(&a->lock, flags);
	return all;
}

/* The fence: the value of INFO comes after every write of the card. */
static void reset(struct alt *a)
{
	unsigned long flags;

	spin_lock_irqsave(&a->lock, flags);
	ioread32(a->bar + RIFFA_INFO);
	memset(a->events, 0, sizeof(a->events));
	spin_unlock_irqrestore(&a->lock, flags);
	msleep(RESET_MS);
}

static void sg_fill(__le32 *sg, dma_addr_t addr, u32 words)
{
	sg[0] = cpu_to_le32(lower_32_bits(addr));
	sg[1] = cpu_to_le32(upper_32_bits(addr));
	sg[2] = cpu_to_le32(words);
	sg[3] = 0;
}

static int send_word(struct alt *a, unsigned int ch, u32 offset, u32 word)
{
	void __iomem *page = a->bar + RIFFA_PAGE(ch);
	dma_addr_t list = a->dma_addr + offsetof(struct alt_dma, down_sg);

	a->dma->down_word = cpu_to_le32(word);
	sg_fill(a->dma->down_sg,
		a->dma_addr + offsetof(struct alt_dma, down_word), 1);
	iowrite32(offset << 1 | 1, page + RIFFA_DOWN_OFFLAST);
	iowrite32(1, page + RIFFA_DOWN_LEN);
	iowrite32(lower_32_bits(list), page + RIFFA_DOWN_SG_LO);
	iowrite32(upper_32_bits(list), page + RIFFA_DOWN_SG_HI);
	iowrite32(RIFFA_SG_WORDS, page + RIFFA_DOWN_SG_LEN);
	if (wait_event_timeout(a->wait, take(a, ch, RIFFA_EV_DOWN_LIST |
					     RIFFA_EV_DOWN_DONE), TIMEOUT))
		return 0;
	reset(a);
	return -ETIMEDOUT;
}

static int wait_announced(struct alt *a, unsigned int ch)
{
	long left = wait_event_interruptible_timeout(a->wait,
						     take(a, ch, RIFFA_EV_UP_NEW),
						     TIMEOUT);

	return left < 0 ? left : left ? 0 : -ETIMEDOUT;
}

/*
 * Acknowledge what was announced, post the list in up_sg, sleep until the card
 * has received the list and is done. Returns words moved.
 */
static int receive(struct alt *a, unsigned int ch, unsigned int elems, u32 words)
{
	void __iomem *page = a->bar + RIFFA_PAGE(ch);
	dma_addr_t list = a->dma_addr + offsetof(struct alt_dma, up_sg);

	if (ioread32(page + RIFFA_UP_LEN) != words) {
		reset(a);
		return -EMSGSIZE;
	}
	iowrite32(lower_32_bits(list), page + RIFFA_UP_SG_LO);
	iowrite32(upper_32_bits(list), page + RIFFA_UP_SG_HI);
	iowrite32(elems * RIFFA_SG_WORDS, page + RIFFA_UP_SG_LEN);
	if (wait_event_timeout(a->wait, take(a, ch, RIFFA_EV_UP_LIST |
					     RIFFA_EV_UP_DONE), TIMEOUT))
		return a->up_words[ch];
	reset(a);
	return -ETIMEDOUT;
}

static int config(struct alt *a, struct oni_alt_config *c)
{
	int ret;

	if (c->write)
		return send_word(a, ONIX_CH_CONFIG, c->reg, c->value);
	ret = send_word(a, ONIX_CH_CONFIG, c->reg | ONIX_CONFIG_READ, 0);
	if (!ret)
		ret = wait_announced(a, ONIX_CH_CONFIG);
	if (ret)
		return ret;
	sg_fill(a->dma->up_sg, a->dma_addr + offsetof(struct alt_dma, up_word), 1);
	ret = receive(a, ONIX_CH_CONFIG, 1, 1);
	c->value = le32_to_cpu(a->dma->up_word);
	return ret < 0 ? ret : 0;
}

static int receive_mapped(struct alt *a, struct sg_table *sgt, u32 bytes)
{
	struct scatterlist *sg;
	unsigned int i;
	int ret;

	ret = dma_map_sgtable(&a->pdev->dev, sgt, DMA_FROM_DEVICE, 0);
	if (ret)
		return ret;
	for_each_sgtable_dma_sg(sgt, sg, i)
		sg_fill(&a->dma->up_sg[i * RIFFA_SG_WORDS], sg_dma_address(sg),
			sg_dma_len(sg) / 4);
	ret = receive(a, ONIX_CH_DATA, i, bytes / 4);
	dma_unmap_sgtable(&a->pdev->dev, sgt, DMA_FROM_DEVICE, 0);
	return ret;
}

static int recv_block(struct alt *a, struct oni_alt_recv *r)
{
	unsigned int offset = offset_in_page(r->addr);
	unsigned int n = DIV_ROUND_UP(offset + r->bytes, PAGE_SIZE);
	struct sg_table sgt;
	int ret, pinned;

	if (!r->bytes || r->bytes % 4 || offset % 4 || n > PAGES_MAX)
		return -EINVAL;
	ret = wait_announced(a, ONIX_CH_DATA);
	if (ret)
		return ret;
	pinned = pin_user_pages_fast(r->addr, n, FOLL_WRITE, a->page);
	if (pinned < 0)
		return pinned;
	ret = pinned == n ? 0 : -EFAULT;
	if (!ret)
		ret = sg_alloc_table_from_pages(&sgt, a->page, n, offset,
						r->bytes, GFP_KERNEL);
	if (!ret) {
		ret = receive_mapped(a, &sgt, r->bytes);
		sg_free_table(&sgt);
	}
	unpin_user_pages_dirty_lock(a->page, pinned, ret > 0);
	if (ret < 0)
		return ret;
	r->bytes = ret * 4;
	return 0;
}

static int alt_config(struct alt *a, void __user *arg)
{
	struct oni_alt_config c;
	int ret;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	ret = config(a, &c);
	if (!ret && copy_to_user(arg, &c, sizeof(c)))
		ret = -EFAULT;
	return ret;
}

static int alt_recv(struct alt *a, void __user *arg)
{
	struct oni_alt_recv r;
	int ret;

	if (copy_from_user(&r, arg, sizeof(r)))
		return -EFAULT;
	ret = recv_block(a, &r);
	if (!ret && copy_to_user(arg, &r, sizeof(r)))
		ret = -EFAULT;
	return ret;
}

static long alt_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct alt *a = container_of(file->private_data, struct alt, misc);
	u32 words;
	int ret;

	mutex_lock(&a->call);
	switch (cmd) {
	case ONI_ALT_CONFIG:
		ret = alt_config(a, (void __user *)arg);
		break;
	case ONI_ALT_BLOCK:
		ret = get_user(words, (u32 __user *)arg);
		if (!ret)
			ret = send_word(a, ONIX_CH_DATA, 0, words);
		break;
	case ONI_ALT_RECV:
		ret = alt_recv(a, (void __user *)arg);
		break;
	case ONI_ALT_RESET:
		reset(a);
		ret = 0;
		break;
	default:
		ret = -ENOTTY;
	}
	mutex_unlock(&a->call);
	return ret;
}

static const struct file_operations alt_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = alt_ioctl,
};

static int alt_setup(struct alt *a)
{
	struct pci_dev *pdev = a->pdev;
	int ret;

	ret = pcim_enable_device(pdev);
	if (!ret)
		ret = pcim_iomap_regions(pdev, BIT(0), "oni_alt");
	if (!ret)
		ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (!ret)
		ret = pcie_capability_set_word(pdev, PCI_EXP_DEVCTL,
					       PCI_EXP_DEVCTL_EXT_TAG);
	if (ret)
		return ret;
	a->bar = pcim_iomap_table(pdev)[0];
	a->dma = dmam_alloc_coherent(&pdev->dev, sizeof(*a->dma), &a->dma_addr,
				     GFP_KERNEL);
	if (!a->dma)
		return -ENOMEM;
	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSI);
	return ret < 0 ? ret : 0;
}

static int alt_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct alt *a;
	int ret;

	a = devm_kzalloc(&pdev->dev, sizeof(*a), GFP_KERNEL);
	if (!a)
		return -ENOMEM;
	a->pdev = pdev;
	mutex_init(&a->call);
	spin_lock_init(&a->lock);
	init_waitqueue_head(&a->wait);
	pci_set_drvdata(pdev, a);
	ret = alt_setup(a);
	if (ret)
		return ret;
	pci_set_master(pdev);
	reset(a);
	ret = request_irq(pci_irq_vector(pdev, 0), alt_irq, 0, "oni_alt", a);
	if (ret)
		goto err_vectors;
	a->misc.minor = MISC_DYNAMIC_MINOR;
	a->misc.name = "oni_alt";
	a->misc.fops = &alt_fops;
	a->misc.mode = 0600;
	ret = misc_register(&a->misc);
	if (!ret)
		return 0;
	free_irq(pci_irq_vector(pdev, 0), a);
err_vectors:
	pci_clear_master(pdev);
	pci_free_irq_vectors(pdev);
	return ret;
}

/* Only for rmmod: nobody has the device open then. */
static void alt_remove(struct pci_dev *pdev)
{
	struct alt *a = pci_get_drvdata(pdev);

	misc_deregister(&a->misc);
	reset(a);
	pci_clear_master(pdev);
	free_irq(pci_irq_vector(pdev, 0), a);
	pci_free_irq_vectors(pdev);
}

/* No MODULE_DEVICE_TABLE: nothing loads this module by itself. */
static const struct pci_device_id alt_ids[] = {
	{ PCI_DEVICE(ONIX_PCI_VENDOR, ONIX_PCI_DEVICE) },
	{ }
};

static struct pci_driver alt_driver = {
	.name = "oni_alt",
	.id_table = alt_ids,
	.probe = alt_probe,
	.remove = alt_remove,
};
module_pci_driver(alt_driver);

MODULE_DESCRIPTION("Test only: one blocking call per block, to compare oni_riffa with");
MODULE_LICENSE("GPL");
