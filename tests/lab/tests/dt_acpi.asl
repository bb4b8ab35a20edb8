// SPDX-License-Identifier: MIT
/*
 * What dt_acpi adds to the nodes that QEMU's tables have for the cards: ceilings in slot 0, in slot
 * 1 a name. The properties are those of the device tree.
 */
DefinitionBlock ("", "SSDT", 2, "ONILAB", "ONICARDS", 1)
{
	External (\_SB.PCI0.S80.S00, DeviceObj)
	External (\_SB.PCI0.S88.S00, DeviceObj)

	Scope (\_SB.PCI0.S80.S00)
	{
		Name (_DSD, Package () {
			ToUUID ("dbb8e3e6-5886-4ba6-8795-1319f52a966b"),	// nodes below
			Package () {
				Package () { "port@0", "PRT0" },
				Package () { "port@1", "PRT1" }
			}
		})
		Name (PRT0, Package () {
			ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),	// properties
			Package () {
				Package () { "reg", 0 },
				Package () { "open-ephys,electrode-area-square-micrometers", Package () { 2000, 0, 2000 } },
				Package () { "open-ephys,stim-max-nanoamp", 20000 },
				Package () { "open-ephys,stim-max-phase-picocoulombs", 4000 },
				Package () { "open-ephys,stim-shannon-k-centi", 150 },
				Package () { "open-ephys,stim-max-rate-hz", Package () { 100, 300 } },
				Package () { "open-ephys,stim-max-train-ms", "1000" }
			}
		})
		Name (PRT1, Package () {
			ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
			Package () { Package () { "reg", 1 }, Package () { "label", "port-b" } }
		})
	}

	Scope (\_SB.PCI0.S88.S00)
	{
		Name (_DSD, Package () {
			ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
			Package () { Package () { "label", "a card in a slot" } }
		})
	}
}
