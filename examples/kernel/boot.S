/* From the boot loader's 32 bits to 64: one page table that maps the first 4 GiB onto themselves, then kernel_main(). */
    .set FLAGS, 3                   /* modules on page boundaries, a memory map */
    .section .multiboot, "a"
    .align 4
    .long 0x1BADB002, FLAGS, -(0x1BADB002 + FLAGS)

    .section .bss
    .align 4096
pml4:   .skip 4096
pdpt:   .skip 4096
pds:    .skip 4 * 4096
    .align 16
        .skip 65536
stack_top:

    .section .text
    .code32
    .global _start
_start:
    cli
    mov $stack_top, %esp
    mov %ebx, %edi                  /* what the boot loader tells: the first argument of kernel_main() */
    mov $pdpt, %eax
    or $3, %eax
    mov %eax, pml4
    mov $pds, %eax
    or $3, %eax
    mov $4, %ecx
    mov $pdpt, %edx
1:  mov %eax, (%edx)
    add $4096, %eax
    add $8, %edx
    loop 1b
    mov $pds, %edx                  /* 2048 pages of 2 MiB */
    mov $0x83, %eax
    mov $2048, %ecx
2:  mov %eax, (%edx)
    movl $0, 4(%edx)
    add $0x200000, %eax
    add $8, %edx
    loop 2b
    mov $pml4, %eax
    mov %eax, %cr3
    mov %cr4, %eax
    or $0x20, %eax                  /* physical address extension */
    mov %eax, %cr4
    mov $0xC0000080, %ecx           /* EFER: long mode */
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000000, %eax            /* paging */
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $long_mode

    .code64
long_mode:
    xor %eax, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %edi, %edi
    mov $stack_top, %rsp
    call kernel_main
3:  hlt
    jmp 3b

    .section .rodata
    .align 8
gdt:
    .quad 0
    .quad 0x00209A0000000000        /* code, 64 bits */
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .section .note.GNU-stack, "", @progbits
