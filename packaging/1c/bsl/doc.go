// Package bsl reads programs in the language of 1C:Enterprise: what they are made of
// and where each part stands. It executes nothing.
//
// Parse proves that a module is written in the language: statements are closed,
// expressions complete, literals right. Its sub-package lint proves that each name
// means something where it stands; dump does so for the files of a dump. What none of
// them can prove is what the values are: whether a variable has a property, a query
// returns rows, or a form looks as it should. That is shown by running it, see
// packaging/1c/tests, and in the end by a platform.
//
// Both alphabets of the language are read. Not read, because the extension must not use
// it in compatibility mode 8.3.14: Асинх and Ждать; nor the changes that one extension
// makes in copies of foreign methods (#Вставка, #Удаление).
package bsl
