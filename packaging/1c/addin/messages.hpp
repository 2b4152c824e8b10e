// What the add-in says to users of 1C, who speak Russian. Texts of the add-in that
// was released in 2022 are its own, so that whoever looks for them finds them.
#pragma once

namespace pns4ones::messages {

// Why Connect returned false.
inline constexpr char bad_client_key[] = "Некорректный ключ клиента";
inline constexpr char bad_address[] = "Указан неверный адрес сервера";
inline constexpr char bad_parameters[] = "Параметры подключения должны быть строками";
inline constexpr char too_long[] = "Параметры подключения слишком длинные или содержат недопустимые символы";
inline constexpr char not_initialized[] = "Компонента не подключена к 1С:Предприятию";
inline constexpr char no_thread[] = "Ошибка инициализации прослушивания сообщений";

// Why there is no connection now: the property LastError.
inline constexpr char unknown_host[] = "Указан неверный адрес сервера: ";
inline constexpr char unreachable[] = "Не удалось установить соединение, возможно, сервис недоступен: ";
inline constexpr char not_registered[] = "Ошибка при регистрации получателя уведомлений, возможно, сервис недоступен";
inline constexpr char not_signed[] = "Ошибка при подписании запроса на подключение";
inline constexpr char closed_at_once[] = "Сервис уведомлений закрыл соединение сразу после регистрации";
inline constexpr char not_decrypted[] = "Не удалось расшифровать сообщение. Возможно, указан неверный ключ клиента";
inline constexpr char closed[] = "Сервис уведомлений закрыл соединение";
inline constexpr char broken[] = "Соединение с сервисом уведомлений прервалось";

// What a person is told when the service refuses again and again.
inline constexpr char refused[] =
	"Сервис уведомлений не принимает подключение. Возможно, указан неверный ID приложения или ключ клиента. "
	"Сообщите администратору";

}  // namespace pns4ones::messages
